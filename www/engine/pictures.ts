/**
 * Photos → what a model sees. In a Worker of its own, since a large photo takes much of WebAssembly's memory, which never shrinks:
 * once it is large, another Worker takes over.
 */
import { concatenated } from './arrays.ts';
import { LowshotError } from './error.ts';
import type { Handle } from './handle.ts';
import type { Pixels, Prepared } from './protocol.ts';
import { started } from './start.ts';

/** Bytes of memory beyond which a Worker is replaced. */
const MOST_MEMORY = 256 << 20;

export class Pictures {
  #worker: Promise<Handle> | undefined;
  #busy = 0;

  /** `thumbnailSide` 0 makes no thumbnail. */
  prepare(photo: Blob, name: string, preprocess: string, thumbnailSide = 0): Promise<Prepared> {
    return this.#with(name, (handle) => handle.call('prepare', [photo, name, preprocess, thumbnailSide]));
  }

  /** As training asked to see it. */
  trainingView(photo: Blob, name: string, preprocess: string, view: string): Promise<Pixels> {
    return this.#with(name, (handle) => handle.call('trainingView', [photo, name, preprocess, view]));
  }

  /** SHA-256 of bytes, which travel to the Worker and back: the page is not kept waiting. */
  async digest(bytes: Uint8Array<ArrayBuffer>): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly sha256: string }> {
    this.#busy++;
    try {
      return await (await this.#alive()).call('digest', [bytes], [bytes.buffer]);
    } finally {
      this.#busy--;
    }
  }

  /** The Worker, or another in its place. */
  #alive(): Promise<Handle> {
    if (!this.#worker) {
      const worker = started('cpu').then(({ handle }) => handle);
      this.#worker = worker;
      const over = (): void => {
        if (this.#worker === worker) this.#worker = undefined;
      };
      worker.then((handle) => handle.gone.then(over), over);
    }
    return this.#worker;
  }

  dispose(): void {
    void this.#worker?.then((handle) => handle.end(), () => undefined);
    this.#worker = undefined;
  }

  async #with<T>(name: string, work: (handle: Handle) => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await work(await this.#alive());
        } catch (error) {
          if (LowshotError.from(error).kind !== 'died') throw error;
          // A photo that takes a fresh Worker down with it would take the next one down too.
          if (attempt === 2) throw new LowshotError('image', `${name}: this browser has not enough memory to open it; make it smaller`);
        }
      }
    } finally {
      this.#busy--;
      void this.#replaceIfLarge();
    }
  }

  async #replaceIfLarge(): Promise<void> {
    const worker = this.#worker;
    const handle = await worker?.catch(() => undefined);
    const memory = await handle?.call('memory', []).catch(() => 0);
    if (!handle || !memory || memory < MOST_MEMORY || this.#busy > 0 || this.#worker !== worker) return;
    this.#worker = undefined;
    handle.end();
  }
}

/** A frame of a camera as a file without loss; a file as it is. */
export async function fileOf(photo: Blob | ImageData): Promise<Blob> {
  if (photo instanceof Blob) return photo;
  const canvas = new OffscreenCanvas(photo.width, photo.height);
  canvas.getContext('2d')?.putImageData(photo, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

/** Pixels of several pictures, end to end. */
export function joined(parts: readonly Pixels[]): Pixels {
  return concatenated(Uint8Array, parts);
}
