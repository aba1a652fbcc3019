/** The state as one value that is replaced, and those who want to know. */
import type { State } from './state.ts';

export class Container {
  #state: State;
  readonly #listeners = new Set<() => void>();
  #told = true;

  constructor(state: State) {
    this.#state = state;
  }

  get state(): State {
    return this.#state;
  }

  update(change: Partial<State> | ((state: State) => Partial<State>)): void {
    this.replace({ ...this.#state, ...(typeof change === 'function' ? change(this.#state) : change) });
  }

  replace(state: State): void {
    this.#state = state;
    if (!this.#told) return;
    this.#told = false;
    // Many changes at once are one to whoever draws them.
    queueMicrotask(() => {
      this.#told = true;
      for (const listener of this.#listeners) listener();
    });
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

let counted = 0;

/** A name that nothing else has, shorter than a UUID and sorted by when it was made. */
export function newId(): string {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return `${Date.now().toString(36)}${(counted++ % 1296).toString(36).padStart(2, '0')}${random[0]?.toString(36)}`;
}
