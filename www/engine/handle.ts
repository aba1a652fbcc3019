/** A Worker as functions that return promises, which reject when it dies, however it dies. */
import { LowshotError } from './error.ts';
import type { CallName, Calls, Failure, Request, Response } from './protocol.ts';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: LowshotError) => void;
}

let made = 0;

export class Handle {
  /** Resolves, with the reason, when the Worker is gone. */
  readonly gone: Promise<Failure>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #lock = '';
  #failure: Failure | undefined;
  #announce: (failure: Failure) => void = () => undefined;

  constructor() {
    this.gone = new Promise((resolve) => (this.#announce = resolve));
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'lowshot' });
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Response>) => this.#receive(data));
    this.#worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.#end({ kind: 'died', message: event.message || 'the Worker could not be started' });
    });
    this.#watch();
  }

  /** Asks for something; `transfer` are buffers that the Worker may keep. */
  call<K extends CallName>(name: K, given: Parameters<Calls[K]>, transfer: Transferable[] = []): Promise<ReturnType<Calls[K]>> {
    if (this.#failure) return Promise.reject(new LowshotError(this.#failure.kind, this.#failure.message));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#worker.postMessage({ id, name, arguments: given } satisfies Request, transfer);
    });
  }

  /** Ends it at once. */
  end(why: Failure = { kind: 'cancelled', message: 'cancelled' }): void {
    this.#worker.terminate();
    this.#end(why);
  }

  #receive(response: Response): void {
    if ('locked' in response) {
      const over = (): void => this.#end({ kind: 'died', message: 'the browser ended the Worker' });
      void navigator.locks.request(this.#lock, over);
      return;
    }
    if ('fatal' in response) {
      this.#worker.terminate();
      this.#end(response.fatal);
      return;
    }
    const waiting = this.#waiting.get(response.id);
    this.#waiting.delete(response.id);
    if ('failure' in response) waiting?.reject(new LowshotError(response.failure.kind, response.failure.message));
    else waiting?.resolve(response.value);
  }

  #end(failure: Failure): void {
    if (this.#failure) return;
    this.#failure = failure;
    // First, so that there is another in its place when those who waited ask again.
    this.#announce(failure);
    for (const { reject } of this.#waiting.values()) reject(new LowshotError(failure.kind, failure.message));
    this.#waiting.clear();
  }

  /** A Worker that the browser kills says nothing, but the lock that it holds is free then. */
  #watch(): void {
    if (!('locks' in navigator)) return;
    const lock = `lowshot-worker-${performance.timeOrigin}-${made++}`;
    this.#lock = lock;
    this.#worker.postMessage({ lock });
  }
}
