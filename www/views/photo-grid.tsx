import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ClassCard, Id, Sample } from '../app/state';
import { texts } from '../texts';
import { dragSamples } from './drop';
import { Icon } from './icons';
import { Thumbnail } from './thumbnail';

const cell = 58;
const smallCell = 46;
const gap = 6;
const rowsFolded = 3;
/** Rows drawn beyond what is in sight, so that scrolling meets no holes. */
const margin = 2;

interface Props {
  card: ClassCard;
  selected: ReadonlySet<Id>;
  onSelect: (ids: ReadonlySet<Id>) => void;
  onDelete: (ids: readonly Id[]) => void;
  onShow: (sample: Sample) => void;
  open: boolean;
}

/** A class's photos, newest first. However many they are, only those in sight are in the document. */
export function PhotoGrid({ card, selected, onSelect, onDelete, onShow, open }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  const [width, setWidth] = useState(0);
  const [top, setTop] = useState(0);
  const [active, setActive] = useState(0);
  const anchor = useRef(0);
  const photos = useMemo(() => [...card.samples].reverse(), [card.samples]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const fitting = (edge: number) => Math.max(1, Math.floor((width + gap) / (edge + gap)));
  // A few more than fit are made a little smaller, rather than leaving one alone in a second row.
  const columns = photos.length <= fitting(smallCell) ? Math.max(photos.length, fitting(cell)) : fitting(cell);
  const size = width ? (width - gap * (columns - 1)) / columns : cell;
  const pitch = size + gap;
  const rows = Math.ceil(photos.length / columns);
  const rowsInSight = Math.min(rows, open ? 9 : rowsFolded);
  // A part of the next row shows that there is more.
  const height = rows > rowsInSight ? (rowsInSight - 0.5) * pitch : rows * pitch - gap;
  const first = Math.max(0, Math.floor(top / pitch) - margin) * columns;
  const last = Math.min(photos.length, (Math.ceil((top + height) / pitch) + margin) * columns);
  const current = Math.min(active, photos.length - 1);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const y = Math.floor(current / columns) * pitch;
    if (document.activeElement !== element) return;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + size > element.scrollTop + element.clientHeight) element.scrollTop = y + size - element.clientHeight;
  }, [current]);

  const upTo = (index: number) => {
    const [from, to] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
    onSelect(new Set(photos.slice(from, to + 1).map((photo) => photo.id)));
  };
  const toggle = (index: number) => {
    const photo = photos[index];
    if (!photo) return;
    anchor.current = index;
    const next = new Set(selected);
    if (!next.delete(photo.id)) next.add(photo.id);
    onSelect(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -photos.length, End: photos.length };
    const step = steps[event.key];
    const photo = photos[current];
    if (step !== undefined) {
      const next = Math.max(0, Math.min(photos.length - 1, current + step));
      setActive(next);
      if (event.shiftKey) upTo(next);
      else anchor.current = next;
    } else if (event.key === ' ') toggle(current);
    else if (event.key === 'Enter' && photo) onShow(photo);
    else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) onSelect(new Set(photos.map((one) => one.id)));
    else if (event.key === 'Escape' && selected.size) onSelect(new Set());
    else if ((event.key === 'Delete' || event.key === 'Backspace') && photo) onDelete(selected.size ? [...selected] : [photo.id]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={box}
      class="photo-grid"
      role="listbox"
      aria-multiselectable="true"
      aria-label={texts.classes.grid(card.name, photos.length)}
      aria-activedescendant={photos.length ? `${id}-${current}` : undefined}
      tabIndex={0}
      style={{ height: `${height}px` }}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={onKeyDown}
    >
      <div class="photo-grid-all" role="presentation" style={{ height: `${rows * pitch - gap}px` }}>
        {width > 0 &&
          photos.slice(first, last).map((photo, offset) => {
            const index = first + offset;
            return (
              <div
                key={photo.id}
                id={`${id}-${index}`}
                class={`photo ${photo.state}${index === current ? ' active' : ''}`}
                role="option"
                aria-selected={selected.has(photo.id)}
                aria-posinset={index + 1}
                aria-setsize={photos.length}
                title={photo.problem ?? photo.name}
                draggable
                style={{
                  width: `${size}px`,
                  height: `${size}px`,
                  transform: `translate(${(index % columns) * pitch}px, ${Math.floor(index / columns) * pitch}px)`,
                }}
                onClick={(event) => {
                  setActive(index);
                  if (event.shiftKey) upTo(index);
                  else toggle(index);
                }}
                onDblClick={() => onShow(photo)}
                onDragStart={(event) => {
                  const ids = selected.has(photo.id) ? [...selected] : [photo.id];
                  if (event.dataTransfer) dragSamples(event.dataTransfer, ids);
                }}
              >
                {photo.state === 'failed' ? (
                  <span class="photo-failed" role="img" aria-label={`${photo.name}: ${photo.problem ?? ''}`}>
                    <Icon name="warning" />
                  </span>
                ) : (
                  <Thumbnail id={photo.id} alt={photo.name} />
                )}
                {selected.has(photo.id) && (
                  <span class="photo-check">
                    <Icon name="check" />
                  </span>
                )}
              </div>
            );
          })}
      </div>
    </div>
  );
}
