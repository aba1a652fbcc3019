/// <reference lib="webworker" />
/**
 * A Worker: it owns one WebAssembly module and does one thing at a time. When the module has trapped or its GPU is gone it says
 * so and does nothing more; who holds it starts another.
 */
import { LowshotError } from './error.ts';
import { openBrowserFormat } from './formats.ts';
import { hexadecimal } from './hash.ts';
import type { CallName, Calls, Failure, Prepared, Request, Response, Slice } from './protocol.ts';

type Core = typeof import('../wasm/gpu/lowshot.js');
type Threads = typeof import('../wasm/threads/lowshot.js');
/** What answers a call: as the protocol says, now or later. */
type Handlers = { [K in CallName]: (...args: Parameters<Calls[K]>) => ReturnType<Calls[K]> | Promise<ReturnType<Calls[K]>> };

declare const self: DedicatedWorkerGlobalScope & { gpuDevices?: GPUDevice[] };

let core: Core | undefined;
let threads: Threads | undefined;
let memory: WebAssembly.Memory | undefined;
type Session = Awaited<ReturnType<Core['Session']['load']>>;
let session: Session | undefined;
let rung: Awaited<ReturnType<Session['begin']>> | undefined;

const loaded = (): Core => {
  if (!core) throw new LowshotError('usage', 'the module has not been started');
  return core;
};
const model = (): Session => {
  if (!session) throw new LowshotError('usage', 'no model is loaded: load one first');
  return session;
};

/** What wasm-bindgen has made for each module. Each address is written out, so that whoever bundles this finds the file. */
const glue = {
  cpu: () => import('../wasm/cpu/lowshot.js'),
  relaxed: () => import('../wasm/relaxed/lowshot.js'),
  threads: () => import('../wasm/threads/lowshot.js'),
  gpu: () => import('../wasm/gpu/lowshot.js'),
};

const handlers: Handlers = {
  async start(kind, module, shared) {
    const glued = await glue[kind]();
    core = glued as Core;
    if ('help' in glued) {
      threads = glued;
      memory = glued.initSync({ module, ...(shared && { memory: shared }) }).memory;
      return { version: core.version(), memory };
    }
    memory = core.initSync({ module }).memory;
    const version = core.version();
    if (kind !== 'gpu') return { version };
    watchDevices();
    return { version, gpu: await core.gpu() };
  },
  help: () => threads?.help(),
  async load(name, files, device, precision, weights) {
    drop();
    session?.free();
    session = undefined;
    session = await loaded().Session.load(name, files as Map<string, Uint8Array>, device, precision, weights);
    return session.info;
  },
  measure: () => model().measure(),
  async setClasses(classes) {
    drop();
    await model().setClasses(classes);
  },
  async setExamples(features, labels) {
    drop();
    await model().setExamples(features, labels);
  },
  imageFeatures: (pixels) => model().imageFeatures(pixels) as Promise<Float32Array<ArrayBuffer>>,
  async begin(options, checkpoint) {
    drop();
    rung = await model().begin(options, checkpoint);
  },
  async next(milliseconds, pixels) {
    if (!rung) throw new LowshotError('usage', 'no method is being learnt: begin one first');
    const slice = (await rung.next(milliseconds, pixels)) as Slice;
    if (slice.result) drop();
    return slice;
  },
  checkpoint: async () => (await rung?.checkpoint()) as Uint8Array<ArrayBuffer> | undefined,
  end: drop,
  choose: (method) => model().choose(method),
  kept: (method, templates) => model().kept(method, [...templates]),
  restore: (label, kept) => model().restore(label, kept.adapter, kept.calibration, kept.examples),
  classify: (pixels) => model().classify(pixels),
  classifyByText: (pixels, prompts) => model().classifyByText(pixels, prompts),
  attention: (pixels) => model().attention(pixels) as Promise<never>,
  map: () => model().map() as Float32Array<ArrayBuffer>,
  exportAdapter: (templates) => model().exportAdapter([...templates]) as Promise<Uint8Array<ArrayBuffer>>,
  importAdapter: (label, bytes) => model().importAdapter(label, bytes),
  async prepare(photo, name, preprocess, thumbnailSide) {
    const prepared = await opened(photo, name, (bytes) => loaded().prepare(bytes, name, preprocess, Math.max(thumbnailSide, 1)));
    const { thumbnail, ...rest } = prepared as Prepared & { thumbnail: { width: number; height: number; rgba: Uint8ClampedArray<ArrayBuffer> } };
    return thumbnailSide > 0 ? { ...rest, thumbnail: await encoded(thumbnail) } : rest;
  },
  trainingView: (photo, name, preprocess, view) =>
    opened(photo, name, (bytes) => loaded().trainingView(bytes, name, preprocess, view)) as Promise<Uint8Array<ArrayBuffer>>,
  async digest(bytes) {
    if (crypto.subtle) return { bytes, sha256: hexadecimal(await crypto.subtle.digest('SHA-256', bytes)) };
    const hash = new (loaded().Hash)();
    hash.update(bytes);
    return { bytes, sha256: hash.finish() };
  },
  memory: () => memory?.buffer.byteLength ?? 0,
};

/** Lets go of the method under way. */
function drop(): void {
  rung?.free();
  rung = undefined;
}

/** A photo's bytes through the core's decoders, or, where they do not know the format, through the browser's. */
async function opened<T>(photo: Blob, name: string, decode: (bytes: Uint8Array) => T): Promise<T> {
  try {
    return decode(new Uint8Array(await photo.arrayBuffer()));
  } catch (error) {
    if (isTrap(error)) throw error;
    const png = await openBrowserFormat(photo).catch(() => undefined);
    if (!png) throw error;
    return decode(png);
  }
}

async function encoded({ width, height, rgba }: { width: number; height: number; rgba: Uint8ClampedArray<ArrayBuffer> }): Promise<Blob> {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  if (!context) throw new LowshotError('failed', 'this browser gives no canvas to draw thumbnails on');
  context.putImageData(new ImageData(rgba, width, height), 0, 0);
  return canvas.convertToBlob({ type: 'image/webp', quality: 0.85 });
}

/** Listens for the end of every GPU device that the core gets, which it does not say itself. */
function watchDevices(): void {
  if (typeof GPUAdapter === 'undefined') return;
  const request = GPUAdapter.prototype.requestDevice;
  self.gpuDevices = [];
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await request.call(this, descriptor);
    self.gpuDevices?.push(device);
    void device.lost.then((info) => die({ kind: 'lost', message: `the GPU was lost (${info.message || info.reason || 'no reason given'})` }));
    return device;
  };
}

/** A module that has trapped is in a state that nobody knows. */
function isTrap(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
}

let dead = false;

function die(fatal: Failure): void {
  if (dead) return;
  dead = true;
  self.postMessage({ fatal } satisfies Response);
  self.close();
}

/** The module has trapped. Where its GPU goes away that comes first, and is not the reason. */
async function trapped(message: string): Promise<void> {
  const lost = (self.gpuDevices ?? []).map(async (device) => {
    const { message, reason } = await device.lost;
    return `the GPU was lost (${message || reason || 'no reason given'})`;
  });
  const soon = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 200));
  const why = await Promise.race([...lost, soon]);
  die(why ? { kind: 'lost', message: why } : { kind: 'died', message });
}

// A trap inside a future never reaches the promise that somebody waits for.
self.addEventListener('error', (event) => {
  // The page is told by `die`, with the reason.
  event.preventDefault();
  void trapped(event.message || 'the module has failed');
});
self.addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  void trapped(LowshotError.from(event.reason).message);
});

/** Buffers that go to the page without being copied. */
function transferable(value: unknown): Transferable[] {
  if (value instanceof Uint8Array || value instanceof Float32Array) return [value.buffer];
  if (value && typeof value === 'object' && !(value instanceof Blob)) return Object.values(value).flatMap(transferable);
  return [];
}

async function answer({ id, name, arguments: given }: Request): Promise<void> {
  try {
    const value = await (handlers[name] as (...all: readonly unknown[]) => unknown)(...given);
    self.postMessage({ id, value } satisfies Response, transferable(value));
  } catch (error) {
    const failure = LowshotError.from(error).failure;
    if (isTrap(error)) void trapped(failure.message);
    else self.postMessage({ id, failure } satisfies Response);
  }
}

let queue = Promise.resolve();
self.addEventListener('message', ({ data }: MessageEvent<Request & { lock?: string }>) => {
  if (data.lock !== undefined) {
    // Held as long as this Worker lives: who waits for it learns at once when it has died, however that came about.
    void navigator.locks.request(data.lock, () => {
      self.postMessage({ locked: true } satisfies Response);
      return new Promise(() => undefined);
    });
    return;
  }
  queue = queue.then(() => answer(data));
});
