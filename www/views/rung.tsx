import type { Rung, RungResult, Training } from '../app/state';
import { texts } from '../texts';
import { useActions } from './app';
import { Button } from './controls';
import { percent } from './format';
import { Icon } from './icons';

interface Props {
  rung: Rung;
  used: boolean;
  best: boolean;
  training: Training['status'];
}

/** A method of the ladder: what it reached, or how far it is. */
export function RungView({ rung, used, best, training }: Props) {
  const actions = useActions();
  const { name, about } = texts.method(rung.method);
  const { result } = rung;
  const busy = training === 'running' || training === 'paused';
  return (
    <li class={`rung ${rung.status}${used ? ' used' : ''}${best ? ' best' : ''}`} data-testid={`rung-${rung.method}`} data-status={rung.status} data-used={used} data-accuracy={result?.accuracy}>
      <div class="rung-head">
        <h3>{name}</h3>
        {used && (
          <span class="tag used-tag">
            <Icon name="check" />
            {texts.rung.inUse}
          </span>
        )}
        {!used && result && (
          <Button look="quiet" testId={`use-${rung.method}`} aria-label={texts.rung.useAbout(name)} onClick={() => actions.use(rung.method)}>
            {texts.rung.use}
          </Button>
        )}
        {rung.status === 'skipped' && (
          <Button look="plain" icon="play" testId={`run-${rung.method}`} disabled={busy} aria-label={texts.rung.runAbout(name)} onClick={() => void actions.runRung(rung.method)}>
            {texts.rung.run}
          </Button>
        )}
        <span class="rung-accuracy">{result ? percent(result.accuracy) : ''}</span>
      </div>
      <p class="rung-about">{about}</p>
      {result ? <AccuracyBar result={result} /> : <ProgressOf rung={rung} />}
      <p class="rung-meta">{result ? <Figures result={result} /> : <Standing rung={rung} busy={busy} />}</p>
    </li>
  );
}

function AccuracyBar({ result }: { result: RungResult }) {
  const [low, high] = result.interval;
  return (
    <div class="accuracy" role="img" aria-label={texts.rung.bar(result.accuracy, low, high)} title={texts.rung.interval(low, high)}>
      <div class="accuracy-bar" style={{ width: `${100 * result.accuracy}%` }} />
      <div class="accuracy-interval" style={{ left: `${100 * low}%`, width: `${100 * (high - low)}%` }} />
    </div>
  );
}

function ProgressOf({ rung }: { rung: Rung }) {
  const fraction = rung.status === 'running' ? (rung.progress?.fraction ?? 0) : 0;
  return (
    <div
      class="accuracy"
      {...(rung.status === 'running'
        ? { role: 'progressbar', 'aria-label': texts.method(rung.method).name, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(100 * fraction) }
        : { 'aria-hidden': true })}
    >
      <div class="accuracy-progress" style={{ width: `${100 * fraction}%` }} />
    </div>
  );
}

function Figures({ result }: { result: RungResult }) {
  const [judged, about] = howJudged(result);
  return (
    <>
      <span class="rung-correct">{texts.rung.correct(result.correct, result.n)}</span>
      <abbr title={about}>{judged}</abbr>
      <span>{texts.rung.time(result.seconds)}</span>
      <span>{result.trainableParameters ? texts.rung.parameters(result.trainableParameters) : texts.rung.nothingTrained}</span>
    </>
  );
}

function howJudged(result: RungResult): [string, string] {
  if (result.leaveOneOut) return [texts.rung.leaveOneOut, texts.rung.leaveOneOutAbout];
  if (result.folds > 1) return [texts.rung.folds(result.folds), texts.rung.foldsAbout(result.folds)];
  return [texts.rung.allPhotos, texts.rung.allPhotosAbout];
}

function Standing({ rung, busy }: { rung: Rung; busy: boolean }) {
  switch (rung.status) {
    case 'running':
      return <span>{rung.progress?.stage === 'final' ? texts.rung.final : texts.rung.checking((rung.progress?.fold ?? 0) + 1, rung.progress?.folds ?? 1)}</span>;
    case 'skipped':
      return <span>{texts.rung.skipped(rung.expectedSeconds)}</span>;
    case 'failed':
      return <span class="rung-problem">{rung.problem ?? texts.learn.failed}</span>;
    default:
      return <span>{busy ? texts.rung.waiting : texts.rung.notYet}</span>;
  }
}
