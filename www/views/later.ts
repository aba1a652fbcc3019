/** Drawing in several tasks, so that whoever clicks meanwhile is not kept waiting by a long one. */
import { useLayoutEffect, useState } from 'preact/hooks';

/** False at first, true in a task of its own: views that ask for it are drawn one after the other. */
export function useLater(): boolean {
  const [later, setLater] = useState(false);
  useLayoutEffect(() => {
    const timer = setTimeout(() => setLater(true));
    return () => clearTimeout(timer);
  }, []);
  return later;
}

/** How many of a list's `length` entries to draw: a few at once, and as many more in each further task. */
export function useGradually(length: number, few: number): number {
  const [drawn, setDrawn] = useState(few);
  // One is kept in reserve, so that a single entry that is added later is there at once.
  const enough = drawn > length;
  useLayoutEffect(() => {
    if (enough) return;
    const timer = setTimeout(() => setDrawn(drawn + few));
    return () => clearTimeout(timer);
  }, [enough, drawn]);
  return Math.min(drawn, length);
}
