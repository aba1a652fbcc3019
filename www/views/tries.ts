import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Answer } from '../app/state';
import { useActions } from './app';

/** A picture that was given to be tried. */
export interface Try {
  readonly key: number;
  readonly name: string;
  readonly blob: Blob;
  /** What it is, where the page knows. */
  readonly truth?: string;
  /** Shown unasked, so that there is something to see; it makes way for what is asked. */
  readonly unasked?: true;
  readonly status: 'waiting' | 'answered' | 'unreadable' | 'silent';
  /** A small copy to show; the picture itself may be huge. */
  readonly small?: string | undefined;
  readonly answer?: Answer | undefined;
  /** Why there is none, in a sentence. */
  readonly problem?: string | undefined;
}

export type Picture = Pick<Try, 'name' | 'blob' | 'truth' | 'unasked'>;

const mostTries = 200;
const smallSide = 160;
let lastKey = 0;

/** Words that answers are wanted by, or none for the project's classes. */
export type Words = readonly string[] | undefined;

/**
 * The pictures being tried. They are answered one after another, and again when `epoch` changes, which stands for everything that
 * an answer depends on.
 */
export function useTries(words: Words, epoch: string) {
  const actions = useActions();
  const [tries, setTries] = useState<readonly Try[]>([]);
  const [chosen, setChosen] = useState<number>();
  const latest = useRef({ tries, words, epoch });
  latest.current = { tries, words, epoch };
  const working = useRef(false);

  const change = (key: number, part: Partial<Try>) => setTries((all) => all.map((one) => (one.key === key ? { ...one, ...part } : one)));

  const work = async () => {
    if (working.current) return;
    working.current = true;
    for (;;) {
      await nextTurn();
      const next = latest.current.tries.find((one) => one.status === 'waiting');
      if (!next) break;
      const { words: by, epoch: then } = latest.current;
      const { answer, problem, unreadable } = await actions.look(next.blob, by);
      const small = next.small ?? (unreadable ? undefined : await makeSmall(next.blob));
      if (!unreadable && (by !== latest.current.words || then !== latest.current.epoch)) change(next.key, { small }); // asked otherwise by now: once more
      else change(next.key, { small, answer, problem, status: answer ? 'answered' : unreadable ? 'unreadable' : 'silent' });
    }
    working.current = false;
  };

  const add = useCallback((pictures: readonly Picture[]) => {
    if (!pictures.length) return;
    const added = pictures.map((picture): Try => ({ key: ++lastKey, status: 'waiting', ...picture }));
    setChosen(added[0]?.key);
    setTries((all) => {
      const next = [...added, ...all.filter((one) => !one.unasked)];
      for (const old of all) if (old.small && !next.slice(0, mostTries).includes(old)) URL.revokeObjectURL(old.small);
      return next.slice(0, mostTries);
    });
  }, []);

  const clear = () => {
    for (const one of tries) if (one.small) URL.revokeObjectURL(one.small);
    setTries([]);
    setChosen(undefined);
  };

  useEffect(() => {
    setTries((all) => all.map((one) => (one.status === 'unreadable' ? one : { ...one, status: 'waiting' as const })));
  }, [words, epoch]);
  useEffect(() => void work(), [tries.some((one) => one.status === 'waiting')]);

  return { tries, chosen: tries.find((one) => one.key === chosen) ?? tries[0], choose: setChosen, add, clear };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function makeSmall(blob: Blob): Promise<string | undefined> {
  try {
    // One side is enough: the other keeps the proportion.
    const bitmap = await createImageBitmap(blob, { resizeHeight: smallSide, resizeQuality: 'medium' });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
    bitmap.close();
    return URL.createObjectURL(await canvas.convertToBlob({ type: 'image/webp', quality: 0.85 }));
  } catch {
    return undefined; // not a picture that this browser shows
  }
}
