/**
 * More Workers with the same model on the processor, each on a core of its own, among which many pictures are shared out: where
 * memory cannot be shared. They only see: what is learnt, and whatever answers, is with the first.
 */
import { concatenated } from './arrays.ts';
import type { Handle } from './handle.ts';
import { type ToLoad, details, loadedOn } from './loading.ts';
import type { Pixels } from './protocol.ts';
import { workers } from './start.ts';

/** After so many pictures of a model there may be more of them, and helpers are worth starting. */
const MANY = 64;
/** Workers that see, the first among them. */
const AT_MOST = 4;
/** All helpers' models together take no more bytes, in f32. */
const MEMORY = 256e6;

export class Helpers {
  #handles: Handle[] = [];
  #seen = 0;
  #asked = false;
  /** Counts ends, so that one that starts too late is let go. */
  #era = 0;

  /** Features of pictures, row by row, by `first`, which has `model`, and by whoever else is ready. */
  async features(first: Handle, pixels: Pixels, model: ToLoad | undefined): Promise<Float32Array<ArrayBuffer>> {
    const { info, threads } = details(first);
    const { device, imageSize, parameters } = info;
    // A GPU has nothing to gain from the processor's help, nor who has all its cores already.
    if (device === 'webgpu' || threads || !model) return first.call('imageFeatures', [pixels]);
    const size = 3 * imageSize * imageSize;
    const pictures = pixels.length / size;
    this.#seen += pictures;
    if (this.#seen >= MANY && !this.#asked) this.#ask(model, 4 * parameters);
    const workers = [first, ...this.#handles].slice(0, Math.max(1, pictures));
    if (workers.length === 1) return first.call('imageFeatures', [pixels]);
    const share = (at: number): number => size * Math.round((pictures * at) / workers.length);
    const parts = workers.map(async (worker, at) => {
      // A view would take the whole of what it is of along.
      const part = pixels.slice(share(at), share(at + 1));
      try {
        return await worker.call('imageFeatures', [part]);
      } catch (error) {
        if (worker === first) throw error;
        // Whatever became of a helper, its part is not lost.
        this.#handles = this.#handles.filter((one) => one !== worker);
        worker.end();
        return first.call('imageFeatures', [part]);
      }
    });
    return concatenated(Float32Array, await Promise.all(parts));
  }

  end(): void {
    this.#era++;
    for (const handle of this.#handles) handle.end();
    this.#handles = [];
    this.#seen = 0;
    this.#asked = false;
  }

  /** Starts as many as there are cores and memory for; one that does not start is done without. */
  #ask(model: ToLoad, bytes: number): void {
    this.#asked = true;
    const era = this.#era;
    const count = Math.min(AT_MOST - 1, workers() - 1, Math.floor(MEMORY / bytes));
    for (let helper = 0; helper < count; helper++) {
      void loadedOn('cpu', model).then(
        (handle) => (era === this.#era ? void this.#handles.push(handle) : handle.end()),
        () => undefined,
      );
    }
  }
}
