import { createContext } from 'preact';
import { useContext, useLayoutEffect, useReducer, useRef } from 'preact/hooks';
import type { Actions, App } from '../app/actions';
import type { State } from '../app/state';

export const AppContext = createContext<App | null>(null);

function app(): App {
  const found = useContext(AppContext);
  if (!found) throw new Error('a view was drawn outside of mount');
  return found;
}

export function useActions(): Actions {
  return app().actions;
}

/** A part of the state. The view is drawn again only when that part is another one, by `same`. */
export function useApp<T>(select: (state: State) => T, same: (a: T, b: T) => boolean = Object.is): T {
  const source = app();
  const [, redraw] = useReducer((n: number, _: void) => n + 1, 0);
  const shown = useRef<T>(undefined as T);
  const latest = useRef(select);
  latest.current = select;
  const now = select(source.state);
  shown.current = now;
  useLayoutEffect(() => {
    const look = () => {
      if (!same(shown.current, latest.current(source.state))) redraw();
    };
    look(); // what changed between drawing and subscribing
    return source.subscribe(look);
  }, [source]);
  return now;
}

/** Whether two lists hold the same things in the same order. */
export function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, i) => Object.is(item, b[i]));
}
