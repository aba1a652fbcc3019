import { useMemo } from 'preact/hooks';
import type { ClassCard, Rung, State } from '../app/state';
import { texts } from '../texts';
import { sameList, useActions, useApp } from './app';
import { Button } from './controls';
import { Curve } from './curve';
import { Icon } from './icons';
import { RungView } from './rung';
import { SettingsView } from './settings';
import { Step } from './step';

/** The second step: training, and the ladder that it fills. */
export function Learn() {
  return (
    <Step number={2} id="learn" title={texts.learn.title} lead={texts.learn.lead}>
      <TrainControls />
      <Verdict />
      <Ladder />
      <SettingsView />
    </Step>
  );
}

/** Why training can't begin, where it can't. */
function hindrance(classes: readonly ClassCard[], ready: boolean): string | undefined {
  const enabled = classes.filter((card) => card.enabled);
  const filled = enabled.filter((card) => card.samples.some((sample) => sample.state !== 'failed'));
  if (enabled.length < 2) return enabled.length ? texts.learn.needClasses : texts.learn.needTwo;
  if (!filled.length) return texts.learn.needSomePhotos;
  const empty = enabled.find((card) => !filled.includes(card));
  if (empty) return texts.learn.needPhotos(empty.name);
  return ready ? undefined : texts.learn.needModel;
}

function TrainControls() {
  const actions = useActions();
  const [status, stale, problem] = useApp((state) => [state.training.status, state.training.stale, state.training.problem] as const, sameList);
  const reason = useApp((state) => hindrance(state.project.classes, state.model.status === 'ready'));
  const going = status === 'running' || status === 'paused';
  return (
    <div class="train" data-testid="training" data-status={status}>
      {going ? (
        <div class="train-buttons">
          {status === 'running' ? (
            <Button icon="pause" testId="pause" onClick={() => actions.pause()}>
              {texts.learn.pause}
            </Button>
          ) : (
            <Button icon="play" look="primary" testId="resume" onClick={() => actions.resume()}>
              {texts.learn.resume}
            </Button>
          )}
          <Button icon="stop" testId="stop" title={texts.learn.stopAbout} onClick={() => actions.stop()}>
            {texts.learn.stop}
          </Button>
        </div>
      ) : (
        <button type="button" class={`button train-button${status === 'done' && !stale ? '' : ' primary'}`} data-testid="train" disabled={!!reason} onClick={() => void actions.train()}>
          {status === 'done' || status === 'failed' ? texts.learn.again : texts.learn.train}
        </button>
      )}
      {!going && reason && <p class="train-reason">{reason}</p>}
      {!going && !reason && stale && (
        <p class="train-stale" data-testid="stale">
          <Icon name="info" />
          {texts.learn.stale}
        </p>
      )}
      {problem && (
        <p class="train-problem" role="alert">
          <Icon name="warning" />
          {problem}
        </p>
      )}
    </div>
  );
}

const used = (state: State): Rung | undefined => state.training.ladder.find((rung) => rung.method === state.training.used);

/** The result in one sentence, said aloud once it is there. */
function Verdict() {
  const rung = useApp(used);
  const done = useApp((state) => state.training.status === 'done');
  const result = rung?.result;
  return (
    <div class="verdict" aria-live="polite">
      {done && rung && result && result.n > 0 && (
        <p>
          <strong>{texts.learn.verdict(texts.method(rung.method).name, result.correct, result.n)}</strong> {texts.learn.verdictAbout}
        </p>
      )}
    </div>
  );
}

/** The rungs; before the first training, those that it will have. */
function planned({ training, settings }: State): readonly Rung[] {
  return training.ladder.length ? training.ladder : settings.methods.map((method) => ({ method, status: 'waiting' }));
}

function sameRungs(a: readonly Rung[], b: readonly Rung[]): boolean {
  return a.length === b.length && a.every((rung, i) => rung === b[i] || (rung.method === b[i]?.method && rung.status === 'waiting' && b[i]?.status === 'waiting'));
}

/** The method that was finished last, to be said aloud. */
function finished(ladder: readonly Rung[]): string {
  const last = ladder.findLast((rung) => rung.result);
  return last?.result ? texts.learn.finished(texts.method(last.method).name, last.result.accuracy) : texts.learn.working;
}

function Ladder() {
  const ladder = useApp(planned, sameRungs);
  const chosen = useApp((state) => state.training.used);
  const status = useApp((state) => state.training.status);
  const best = useMemo(() => {
    const done = ladder.filter((rung) => rung.result);
    return done.reduce<Rung | undefined>((top, rung) => ((rung.result?.accuracy ?? 0) > (top?.result?.accuracy ?? -1) ? rung : top), undefined)?.method;
  }, [ladder]);
  return (
    <>
      <ol class="ladder" aria-label={texts.learn.ladder} data-testid="ladder">
        {ladder.map((rung) => (
          <RungView key={rung.method} rung={rung} used={rung.method === chosen} best={rung.method === best} training={status} />
        ))}
      </ol>
      <p class="visually-hidden" aria-live="polite">
        {status === 'running' ? finished(ladder) : ''}
      </p>
      <Curve />
    </>
  );
}
