import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ClassCard, Training } from '../app/state';
import { texts } from '../texts';
import { useApp } from './app';
import { classColour } from './format';
import { Thumbnail } from './thumbnail';

interface Point {
  readonly sample: string;
  readonly x: number;
  readonly y: number;
  readonly className: string;
  readonly photo: string;
  readonly colour: number;
}

const height = 260;
const padding = 16;
/** How far, in pixels, the pointer may be from the point that it means. */
const reach = 16;

/** The photos as points: near each other where the model finds them alike. Drawn on a canvas, for there may be thousands. */
export function SampleMap() {
  const map = useApp((state) => state.training.map);
  const classes = useApp((state) => state.project.classes);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [scheme, setScheme] = useState(0);
  const [active, setActive] = useState<number>();

  const points = useMemo(() => place(map ?? [], classes, width), [map, classes, width]);
  const legend = classes.filter((card) => points.some((point) => point.colour === card.colour));

  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const repaint = () => setScheme((n) => n + 1);
    dark.addEventListener('change', repaint);
    return () => {
      observer.disconnect();
      dark.removeEventListener('change', repaint);
    };
  }, [!!map?.length]);

  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, points, width, active);
  }, [points, width, active, scheme]);

  if (!map?.length) {
    return (
      <div class="panel map">
        <h3>{texts.insight.map}</h3>
        <p>{texts.insight.noMap}</p>
      </div>
    );
  }
  const point = active === undefined ? undefined : points[active];
  return (
    <div class="panel map" data-testid="map" data-points={points.length}>
      <h3>{texts.insight.map}</h3>
      <p>{texts.insight.mapAbout}</p>
      <div class="map-box">
        <canvas
          ref={canvas}
          role="img"
          tabIndex={0}
          aria-label={point ? texts.insight.mapPoint(point.className, point.photo) : texts.insight.mapLabel(points.length)}
          onPointerMove={(event) => setActive(nearest(points, event.offsetX, event.offsetY))}
          onPointerDown={(event) => setActive(nearest(points, event.offsetX, event.offsetY))}
          onPointerLeave={() => setActive(undefined)}
          onBlur={() => setActive(undefined)}
          onKeyDown={(event) => {
            const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
            if (!step || !points.length) return;
            event.preventDefault();
            setActive(((active ?? -step) + step + points.length) % points.length);
          }}
        />
        {point && (
          <div
            class="map-tip"
            style={{ '--colour': classColour(point.colour), left: `${Math.min(Math.max(point.x, 52), width - 52)}px`, top: `${point.y}px` }}
            data-below={point.y < 130}
          >
            <Thumbnail id={point.sample} alt={point.photo} />
            <span>{point.className}</span>
          </div>
        )}
      </div>
      <ul class="map-legend">
        {legend.map((card) => (
          <li key={card.id} style={{ '--colour': classColour(card.colour) }}>
            {card.name}
          </li>
        ))}
      </ul>
    </div>
  );
}

function place(map: NonNullable<Training['map']>, classes: readonly ClassCard[], width: number): Point[] {
  const owners = new Map(classes.flatMap((card) => card.samples.map((sample) => [sample.id, { card, sample }] as const)));
  const xs = map.map((one) => one.x);
  const ys = map.map((one) => one.y);
  const [left, right] = extent(xs);
  const [top, bottom] = extent(ys);
  return map.flatMap(({ sample, x, y }) => {
    const owner = owners.get(sample);
    if (!owner) return []; // deleted since
    return {
      sample,
      x: padding + ((x - left) / (right - left || 1)) * (width - 2 * padding),
      y: padding + ((y - top) / (bottom - top || 1)) * (height - 2 * padding),
      className: owner.card.name,
      photo: owner.sample.name,
      colour: owner.card.colour,
    };
  });
}

function extent(values: readonly number[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function nearest(points: readonly Point[], x: number, y: number): number | undefined {
  let found: number | undefined;
  let distance = reach * reach;
  points.forEach((point, i) => {
    const d = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (d < distance) [found, distance] = [i, d];
  });
  return found;
}

function draw(canvas: HTMLCanvasElement, points: readonly Point[], width: number, active: number | undefined): void {
  const scale = devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext('2d');
  if (!context) return;
  context.scale(scale, scale);
  const resolved = new Map<string, string>();
  // A canvas knows no custom properties: what they stand for in this scheme is read off an element.
  const colour = (css: string) => {
    const known = resolved.get(css);
    if (known) return known;
    canvas.style.color = css;
    const found = getComputedStyle(canvas).color;
    resolved.set(css, found);
    return found;
  };
  const radius = points.length > 400 ? 3 : 5.5;
  context.lineWidth = 1.5;
  context.strokeStyle = colour('var(--sunken)');
  points.forEach((point, i) => {
    context.globalAlpha = active === undefined || active === i ? 0.9 : 0.45;
    context.fillStyle = colour(classColour(point.colour));
    context.beginPath();
    context.arc(point.x, point.y, active === i ? radius + 3 : radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  });
}
