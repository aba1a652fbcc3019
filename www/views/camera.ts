import { useEffect, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import { texts } from '../texts';

export interface Camera {
  readonly video: RefObject<HTMLVideoElement | null>;
  readonly status: 'asking' | 'on' | 'failed';
  readonly problem: string;
  readonly devices: readonly MediaDeviceInfo[];
  readonly chosen: string;
  /** Cameras that look at the visitor are shown as a mirror would. */
  readonly mirrored: boolean;
  choose(device: string): void;
  again(): void;
}

/** Only one view holds the camera: who takes it makes the other give it up. */
let giveUp: (() => void) | undefined;

/** The camera for as long as the calling view is there. `onTaken`: another view took it. */
export function useCamera(onTaken: () => void): Camera {
  const video = useRef<HTMLVideoElement>(null);
  const [status, setStatus] = useState<Camera['status']>('asking');
  const [problem, setProblem] = useState('');
  const [devices, setDevices] = useState<readonly MediaDeviceInfo[]>([]);
  const [wanted, setWanted] = useState('');
  const [chosen, setChosen] = useState('');
  const [mirrored, setMirrored] = useState(true);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    giveUp?.();
    giveUp = onTaken;
    return () => {
      if (giveUp === onTaken) giveUp = undefined;
    };
  }, []);

  useEffect(() => {
    let stream: MediaStream | undefined;
    let left = false;
    setStatus('asking');
    openCamera(wanted)
      .then(async (opened) => {
        if (left) return stop(opened);
        stream = opened;
        const track = opened.getVideoTracks()[0];
        const settings = track?.getSettings();
        track?.addEventListener('ended', () => fail(texts.capture.ended));
        setMirrored(settings?.facingMode !== 'environment');
        setChosen(settings?.deviceId ?? '');
        if (video.current) {
          video.current.srcObject = opened;
          await video.current.play().catch(() => {}); // it plays by itself once it is in sight
        }
        setStatus('on');
        const all = await navigator.mediaDevices.enumerateDevices();
        if (!left) setDevices(all.filter((device) => device.kind === 'videoinput'));
      })
      .catch((error: unknown) => fail(explain(error)));
    function fail(text: string) {
      if (left) return;
      setProblem(text);
      setStatus('failed');
    }
    return () => {
      left = true;
      if (stream) stop(stream);
    };
  }, [wanted, attempt]);

  return { video, status, problem, devices, chosen, mirrored, choose: setWanted, again: () => setAttempt((n) => n + 1) };
}

async function openCamera(device: string): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) throw new DOMException('', 'SecurityError');
  return navigator.mediaDevices.getUserMedia({
    audio: false,
    video: { width: { ideal: 960 }, height: { ideal: 720 }, ...(device ? { deviceId: { exact: device } } : {}) },
  });
}

function stop(stream: MediaStream) {
  for (const track of stream.getTracks()) track.stop();
}

function explain(error: unknown): string {
  const { name, message } = error instanceof Error ? error : { name: '', message: String(error) };
  switch (name) {
    case 'NotAllowedError':
      return texts.capture.refused;
    case 'NotFoundError':
    case 'OverconstrainedError':
      return texts.capture.missing;
    case 'NotReadableError':
    case 'AbortError':
      return texts.capture.busy;
    case 'SecurityError':
      return texts.capture.insecure;
    default:
      return texts.capture.other(message);
  }
}

/** Pixels on a side of what is taken: more than any of the models sees, and small to keep. */
const side = 448;

/** The middle square of what the camera sees now, drawn onto `canvas`. False: it sees nothing yet. */
export function drawFrame(video: HTMLVideoElement, canvas: HTMLCanvasElement): boolean {
  const { videoWidth: width, videoHeight: height } = video;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!width || !height || !context) return false;
  const edge = Math.min(width, height);
  canvas.width = canvas.height = Math.min(side, edge);
  context.drawImage(video, (width - edge) / 2, (height - edge) / 2, edge, edge, 0, 0, canvas.width, canvas.height);
  return true;
}

export function frameBlob(canvas: HTMLCanvasElement): Promise<Blob | null> {
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.92));
}
