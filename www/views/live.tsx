import { useEffect, useRef, useState } from 'preact/hooks';
import type { Answer, Attention } from '../app/state';
import { texts } from '../texts';
import { useActions } from './app';
import { AnswerView, Footnote } from './answer';
import { drawFrame, frameBlob, useCamera } from './camera';
import { CameraView } from './capture';
import { Heat } from './heat';
import type { Words } from './tries';

interface Props {
  words: Words;
  /** Whether there is anything to choose between. */
  ready: boolean;
  heat: boolean;
  onClose: () => void;
}

/** What the camera sees, answered as fast as the model can: a frame is taken only when the one before is answered. */
export function Live({ words, ready, heat, onClose }: Props) {
  const actions = useActions();
  const camera = useCamera(onClose);
  const canvas = useRef(document.createElement('canvas'));
  const [answer, setAnswer] = useState<Answer>();
  const [attention, setAttention] = useState<Attention>();
  const [rate, setRate] = useState(0);

  useEffect(() => {
    if (camera.status !== 'on' || !ready) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    const run = async () => {
      let last = performance.now();
      let smooth = 0;
      while (!signal.aborted) {
        await nextFrame(signal);
        const video = camera.video.current;
        if (signal.aborted || !video || !drawFrame(video, canvas.current)) continue;
        const frame = canvas.current.getContext('2d', { willReadFrequently: true })?.getImageData(0, 0, canvas.current.width, canvas.current.height);
        if (!frame) continue;
        const blob = words && (await frameBlob(canvas.current));
        const got = await (words && blob ? actions.classifyByText(blob, words) : actions.classify(frame, signal));
        const where = heat && got && !signal.aborted ? await actions.attention(frame) : undefined;
        if (signal.aborted) return;
        if (got) setAnswer(got);
        setAttention(where);
        const now = performance.now();
        const perSecond = 1000 / Math.max(1, now - last);
        smooth = smooth ? 0.85 * smooth + 0.15 * perSecond : perSecond;
        last = now;
        setRate(smooth);
        if (!got) await pause(500, signal); // no answer for now: do not ask in a frenzy
      }
    };
    void run();
    return () => leaving.abort();
  }, [camera.status, words, ready, heat]);

  return (
    <>
      <div class="live">
        <CameraView camera={camera}>
          {heat && attention && (
            <div class={`live-heat${camera.mirrored ? ' mirrored' : ''}`}>
              <Heat attention={attention} />
            </div>
          )}
          {rate > 0 && (
            <span class="live-tag">
              <span class="live-dot" /> {texts.try.rate(rate)}
            </span>
          )}
        </CameraView>
      </div>
      <div class="try-answer" data-testid="live-answer">
        {answer && ready ? <AnswerView answer={answer} live /> : <p class="try-note">{ready ? texts.try.thinking : words ? texts.try.wordsNeedTwo : texts.try.needClasses}</p>}
        {answer && ready && <Footnote answer={answer} byWords={!!words} />}
      </div>
    </>
  );
}

/** The next time that the screen is drawn, which in a hidden tab is when it is shown again. */
function nextFrame(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const id = requestAnimationFrame(() => resolve());
    signal.addEventListener('abort', () => (cancelAnimationFrame(id), resolve()), { once: true });
  });
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const id = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => (clearTimeout(id), resolve()), { once: true });
  });
}
