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

/** Shade where it did not look; from red over orange to a clear yellow where it did. */
function tint(value: number): [number, number, number, number] {
  const v = Math.max(0, Math.min(1, value));
  if (v < 0.35) return [20, 14, 48, 150 - 150 * (v / 0.35) * 0.5];
  const up = (v - 0.35) / 0.65;
  return [235 + 20 * up, 70 + 150 * up, 40 + 40 * up, 75 + 95 * up];
}
