/**
 * Workers that answer by the protocol without computing anything, and fail when they are told to. A model that learns needs ten steps,
 * and its checkpoint is the number of those that are done.
 */
import { vi } from 'vitest';
import type { Failure, Info, Kept, Request, RungResult, Slice } from '../../../../www/engine/protocol.ts';

export const STEPS = 10;

export const RESULT = { method: 'tip', correct: 1, n: 2, accuracy: 0.5 } as RungResult;

export const keptOf = (method: string): Kept => ({ adapter: new TextEncoder().encode(method), calibration: method, examples: new Float32Array() });

/** What a Worker does in place of answering. */
export type Fate =
  | { readonly value: unknown }
  | { readonly failure: Failure }
  /** It says that it can do nothing more. */
  | { readonly fatal: Failure }
  /** It never answers. */
  | 'silent'
  /** The browser kills it, and nobody says so. */
  | 'killed'
  /** It never began, since its program could not be loaded. */
  | 'broken';

/** Decides what becomes of a call; nothing, and it is answered as usual. */
export type Decide = (call: { worker: FakeWorker; name: string; given: readonly unknown[]; count: number }) => Fate | Promise<Fate | undefined> | undefined;

export const died: Fate = { fatal: { kind: 'died', message: 'the module has failed' } };
export const lost: Fate = { fatal: { kind: 'lost', message: 'the GPU was lost' } };

let decide: Decide = () => undefined;
export const workers: FakeWorker[] = [];

/** Locks that Workers hold while they live, and who waits for them. */
const locks = new Map<string, (() => void)[]>();

export class FakeWorker {
  /** Names of what it was asked, in order, and what came with it. */
  readonly calls: string[] = [];
  readonly arguments: (readonly unknown[])[] = [];
  ended = false;
  device = '';
  step = 0;
  rung = '';
  readonly number = workers.push(this) - 1;
  readonly #listeners = new Map<string, ((event: unknown) => void)[]>();
  #lock = '';
  #queue: Promise<unknown> = Promise.resolve();

  addEventListener(type: string, listener: (event: unknown) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  postMessage(data: Request & { lock?: string }): void {
    if (data.lock !== undefined) {
      this.#lock = data.lock;
      locks.set(data.lock, []);
      void Promise.resolve().then(() => this.#say({ locked: true }));
      return;
    }
    this.#queue = this.#queue.then(() => this.#answer(data));
  }

  terminate(): void {
    this.ended = true;
    this.#release();
  }

  async #answer({ id, name, arguments: given }: Request): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    if (this.ended) return;
    this.calls.push(name);
    this.arguments.push(given);
    const count = this.calls.filter((call) => call === name).length;
    const fate = (await decide({ worker: this, name, given, count })) ?? { value: this.#value(name, given) };
    // Who helps never answers.
    if (this.ended || fate === 'silent' || (name === 'help' && 'value' in Object(fate))) return;
    if (fate === 'killed') return this.terminate();
    if (fate === 'broken') return this.#tell('error', { message: 'no such file', preventDefault: () => undefined });
    this.#say('fatal' in fate ? fate : { id, ...fate });
  }

  #value(name: string, given: readonly unknown[]): unknown {
    const answers: Record<string, () => unknown> = {
      start: () => ({ version: '1', ...(given[0] === 'threads' ? { memory: given[2] ?? { of: this.number } } : {}), ...(given[0] === 'gpu' ? { gpu: { usable: true, name: 'Fake GPU', software: false, f16: true } } : {}) }),
      load: () => {
        this.device = String(given[2]);
        return { name: given[0], sha256: 'f00d', parameters: 1000, imageSize: 1, embedding: 2, device: given[2], precision: given[3], weights: given[4], preprocess: 'half' } as Info;
      },
      measure: () => (this.device === 'webgpu' ? 100 : 10),
      imageFeatures: () => Float32Array.of(this.number),
      begin: () => ((this.rung = (given[0] as { method: string }).method), (this.step = (given[1] as Uint8Array | undefined)?.[0] ?? 0), undefined),
      next: (): Slice => {
        const step = ++this.step;
        const rest = step === STEPS ? { result: { ...RESULT, method: this.rung } } : { wanted: [{ example: step, view: '"plain"' }] };
        return { stage: 'final', fold: 0, folds: 1, step, steps: STEPS, losses: [1], fraction: step / STEPS, ...rest };
      },
      checkpoint: () => Uint8Array.of(this.step),
      kept: () => keptOf(String(given[0])),
      restore: () => (given[1] as Kept).calibration,
      importAdapter: () => ({ method: 'tip', classes: ['grey_cat', 'dog'], templates: ['a {}.'] }),
      classify: () => [],
    };
    return answers[name]?.();
  }

  #say(data: unknown): void {
    if (!this.ended) this.#tell('message', { data });
  }

  #tell(type: string, event: unknown): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  #release(): void {
    for (const waiting of locks.get(this.#lock) ?? []) waiting();
    locks.delete(this.#lock);
  }
}

/** A browser with such Workers, and with a GPU where it is asked for. */
export function browser({ gpu = false, by = () => undefined }: { gpu?: boolean; by?: Decide } = {}): void {
  workers.length = 0;
  decide = by;
  const request = async (name: string, work: () => void): Promise<void> => {
    const waiting = locks.get(name);
    if (!waiting) return work();
    await new Promise<void>((resolve) => waiting.push(resolve));
    work();
  };
  const adapter = { info: { architecture: 'fake', device: '', description: '', isFallbackAdapter: false } };
  vi.stubGlobal('navigator', { locks: { request }, ...(gpu ? { gpu: { requestAdapter: async () => adapter } } : {}) });
  vi.stubGlobal('Worker', FakeWorker);
  // The smallest module that there is.
  vi.stubGlobal('fetch', async () => new Response(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)));
}

/** From now on calls fare like this. */
export function decideBy(by: Decide): void {
  decide = by;
}

export const alive = (): FakeWorker[] => workers.filter(({ ended }) => !ended);
