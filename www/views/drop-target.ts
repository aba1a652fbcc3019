import type { HTMLAttributes } from 'preact';
import { useState } from 'preact/hooks';
import type { Id } from '../app/state';
import { type Dropped, draggedSamples, hasFiles, hasSamples, readDrop } from './drop';

type Handlers = Pick<HTMLAttributes<HTMLElement>, 'onDragOver' | 'onDragLeave' | 'onDrop'>;

/** Takes files and photos of the page itself. Gives whether some are over the element now, and what the element has to listen to. */
export function useDropTarget(onFiles: (items: readonly Dropped[]) => void, onSamples: (ids: readonly Id[]) => void): readonly [over: boolean, handlers: Handlers] {
  const [over, setOver] = useState(false);
  return [
    over,
    {
      onDragOver(event) {
        if (!hasFiles(event.dataTransfer) && !hasSamples(event.dataTransfer)) return;
        event.preventDefault();
        setOver(true);
      },
      onDragLeave(event) {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false);
      },
      onDrop(event) {
        setOver(false);
        const data = event.dataTransfer;
        if (!data) return;
        event.preventDefault();
        event.stopPropagation();
        if (hasSamples(data)) onSamples(draggedSamples(data));
        else void readDrop(data).then(onFiles);
      },
    },
  ];
}
