/** What a model's Worker was told, so that another can be told it again: classes and photos, what was learnt, and which method answers. */
import type { Handle } from './handle.ts';
import type { Kept, Prompts } from './protocol.ts';

/** Classes and photos that are learnt from; `features` lie row by row. */
export interface Ground {
  readonly classes: readonly Prompts[];
  readonly features: Float32Array;
  readonly labels: readonly number[];
}

const FIRST = 'zero-shot';

export class Told {
  /** Counts changes, so that a Worker that is told meanwhile is told again. */
  version = 0;
  #ground: Ground | undefined;
  readonly #kept = new Map<string, Kept>();
  #chosen = FIRST;

  /** Classes and photos; what was learnt from others is forgotten. */
  setGround(ground: Ground): void {
    this.forget();
    this.#ground = ground;
    this.version++;
  }

  /** A method that was learnt. */
  keep(method: string, kept: Kept): void {
    this.#kept.set(method, kept);
    this.version++;
  }

  /** The method that answers. */
  choose(method: string): void {
    this.#chosen = method;
    this.version++;
  }

  /** Of another model nothing is told. */
  forget(): void {
    this.#ground = undefined;
    this.#kept.clear();
    this.#chosen = FIRST;
  }

  async tell(handle: Handle): Promise<void> {
    const ground = this.#ground;
    if (!ground) return;
    await handle.call('setClasses', [ground.classes]);
    if (ground.labels.length > 0) await handle.call('setExamples', [ground.features, Uint32Array.from(ground.labels)]);
    for (const kept of this.#kept.values()) await handle.call('restore', ['what was learnt', kept]);
    await handle.call('choose', [this.#chosen]);
  }
}
