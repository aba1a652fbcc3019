/**
 * A project is open in one tab at a time: two that store the same one would overwrite each other's changes, and each would sweep away
 * the photos that only the other knows of.
 */
import type { Id } from './state.ts';

/** What holds projects for this tab. */
export interface Hold {
  /** Whether this tab has the project now; those that it had before it has still. */
  take(id: Id): Promise<boolean>;
  /** Lets go of all others. */
  keepOnly(id: Id): void;
}

/** Where nothing is shared with other tabs, or browsers have no locks. */
export const ALONE: Hold = { take: async () => true, keepOnly: () => undefined };

/** A tab that is just being closed or reloaded has its project for a moment still, in milliseconds. */
const PATIENCE = 2000;

/** By locks, which the browser takes from a tab that is gone, however it went. */
export class Locks implements Hold {
  readonly #held = new Map<Id, () => void>();

  take(id: Id): Promise<boolean> {
    if (this.#held.has(id)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const held = (): Promise<void> => {
        resolve(true);
        return new Promise((release) => this.#held.set(id, release));
      };
      navigator.locks.request(`lowshot-project-${id}`, { signal: AbortSignal.timeout(PATIENCE) }, held).catch(() => resolve(false));
    });
  }

  keepOnly(id: Id): void {
    for (const [other, release] of this.#held) {
      if (other === id) continue;
      this.#held.delete(other);
      release();
    }
  }
}
