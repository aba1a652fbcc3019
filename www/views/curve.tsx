import { useMemo } from 'preact/hooks';
import { texts } from '../texts';
import { useApp } from './app';
import { loss } from './format';

const width = 320;
const height = 72;
/** More points than the line has room for are averaged. */
const mostPoints = 160;

/** The loss of what is being trained, or was trained last. */
export function Curve() {
  const curve = useApp((state) => state.training.curve);
  const status = useApp((state) => state.training.status);
  const drawn = useMemo(() => (curve && curve.losses.length > 1 ? draw(curve.losses, curve.steps) : undefined), [curve]);
  if (!curve || !drawn) return null;
  const first = loss(curve.losses[0] ?? 0);
  const last = loss(curve.losses.at(-1) ?? 0);
  const title = texts.learn.curve(texts.method(curve.method).name);
  return (
    <figure class={`curve ${status}`} data-testid="curve" data-steps={curve.losses.length}>
      <figcaption>
        <span>{title}</span>
        <span class="number">{texts.learn.step(curve.losses.length, curve.steps)}</span>
        <strong class="number">{last}</strong>
      </figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={`${title}. ${texts.learn.curveAlternative(first, last)}`}>
        <path class="curve-area" d={drawn.area} />
        <path class="curve-line" d={drawn.line} />
      </svg>
    </figure>
  );
}

function draw(losses: readonly number[], steps: number): { line: string; area: string } {
  const size = Math.max(1, Math.ceil(losses.length / mostPoints));
  const points: [number, number][] = [];
  for (let i = 0; i < losses.length; i += size) {
    const some = losses.slice(i, i + size);
    points.push([i + (some.length - 1) / 2, some.reduce((sum, value) => sum + value, 0) / some.length]);
  }
  const values = points.map(([, value]) => value).filter(Number.isFinite);
  const top = Math.max(...values);
  const bottom = Math.min(0, ...values);
  const x = (step: number) => ((step / Math.max(1, Math.max(steps, losses.length) - 1)) * width).toFixed(1);
  const y = (value: number) => (height - 3 - ((value - bottom) / (top - bottom || 1)) * (height - 6)).toFixed(1);
  const line = points.map(([step, value], i) => `${i ? 'L' : 'M'}${x(step)} ${y(value)}`).join('');
  const [from, to] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 0];
  return { line, area: `${line}L${x(to)} ${height}L${x(from)} ${height}Z` };
}
