import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Attention } from '../app/state';

/** Where the model looked, laid over the part of the picture that it saw. The browser smooths the small grid. */
export function Heat({ attention }: { attention: Attention }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { side, values, box } = attention;
  useLayoutEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context || !side) return;
    const image = new ImageData(side, side);
    values.forEach((value, i) => image.data.set(tint(value), 4 * i));
    context.putImageData(image, 0, 0);
  }, [attention]);
  return (
    <canvas
      ref={canvas}
      class="heat"
      data-testid="heat"
      width={side}
      height={side}
      style={{ left: `${100 * box.left}%`, top: `${100 * box.top}%`, width: `${100 * box.width}%`, height: `${100 * box.height}%` }}
    />
  );
}

/** Shade where it did not look; from red to a clear yellow where it did. */
const stops: readonly (readonly [at: number, red: number, green: number, blue: number, alpha: number])[] = [
  [0, 12, 8, 32, 115],
  [0.25, 50, 16, 56, 70],
  [0.6, 230, 86, 48, 120],
  [1, 255, 228, 96, 170],
];

function tint(value: number): number[] {
  const v = Math.max(0, Math.min(1, value));
  const above = stops.findIndex(([at]) => at >= v);
  const [high, low] = [stops[above] ?? stops[0]!, stops[Math.max(0, above - 1)] ?? stops[0]!];
  const part = high[0] === low[0] ? 0 : (v - low[0]) / (high[0] - low[0]);
  return [1, 2, 3, 4].map((i) => low[i]! + part * (high[i]! - low[i]!));
}
