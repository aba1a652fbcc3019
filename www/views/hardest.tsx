import { useMemo, useState } from 'preact/hooks';
import type { HeldOut, RungResult } from '../app/state';
import { texts } from '../texts';
import { useApp } from './app';
import { LargePhoto } from './class-card';
import { classColour } from './format';
import type { Learnt } from './insight';
import { Thumbnail } from './thumbnail';

const most = 12;

/** Wrong and sure of it comes first; then right, but barely. */
function hardest(predictions: readonly HeldOut[]): HeldOut[] {
  const wrong = predictions.filter((one) => one.predicted !== one.label).sort((a, b) => b.confidence - a.confidence);
  const right = predictions.filter((one) => one.predicted === one.label).sort((a, b) => a.confidence - b.confidence);
  return [...wrong, ...right].slice(0, most);
}

export function Hardest({ result, classes }: { result: RungResult; classes: readonly Learnt[] }) {
  const known = useApp((state) => state.project.classes);
  const ids = useMemo(() => new Set(known.flatMap((card) => card.samples.map((sample) => sample.id))), [known]);
  // Photos that were deleted since have no thumbnail any more.
  const photos = useMemo(() => hardest(result.predictions.filter((one) => ids.has(one.sample))), [result, ids]);
  const [shown, setShown] = useState<HeldOut>();
  return (
    <div class="panel hardest">
      <h3>{texts.insight.hard}</h3>
      <ul>
        {photos.map((photo) => {
          const truth = classes[photo.label];
          const said = classes[photo.predicted];
          const right = photo.label === photo.predicted;
          const text = right ? texts.insight.barely(truth?.name ?? '') : texts.insight.wrong(truth?.name ?? '', said?.name ?? '');
          return (
            <li key={photo.sample} style={{ '--colour': classColour(said?.colour ?? 0) }} data-testid="hard-photo">
              <button type="button" onClick={() => setShown(photo)}>
                <Thumbnail id={photo.sample} alt="" />
                <span class={right ? 'right' : 'wrong'}>{text}</span>
                <small class="number">{texts.insight.confidence(photo.confidence)}</small>
              </button>
            </li>
          );
        })}
      </ul>
      {shown && <LargePhoto sample={{ id: shown.sample, name: classes[shown.label]?.name ?? '' }} onClose={() => setShown(undefined)} />}
    </div>
  );
}
