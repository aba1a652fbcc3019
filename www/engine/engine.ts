/**
 * A model in a Worker that may die. It knows everything that the Worker was told (the model's files, classes, photos' features,
 * what was learnt), so that it can tell another, and calls go on there.
 */
import { LowshotError, check } from './error.ts';
import type { Handle } from './handle.ts';
import { Helpers } from './helpers.ts';
import { type ModelFiles, type ToLoad, details, loadedOn, noGpu } from './loading.ts';
import { type ModelInfo, measured, onProcessor } from './measuring.ts';
import { type Numerics, numericsOf } from './numerics.ts';
import type { Device, Failure, Grid, Kept, Pixels, Precision, Prediction, RungOptions, RungResult, Slice, Wanted, Weights } from './protocol.ts';
import { type Ground, Told } from './told.ts';

export type { Ground, ModelInfo };

/** Gives what training asks for, preprocessed, end to end. */
export type PicturesOf = (wanted: readonly Wanted[]) => Promise<Pixels>;

export type TrainEvent =
  | ({ readonly kind: 'progress' } & Slice)
  | { readonly kind: 'checkpoint'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'done'; readonly result: RungResult; readonly kept: Kept };

export interface TrainOptions {
  readonly rung: RungOptions;
  readonly pictures: PicturesOf;
  readonly templates: readonly string[];
  readonly checkpoint?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Features row by row, and how they were computed. */
export interface Described {
  readonly features: Float32Array<ArrayBuffer>;
  readonly numerics: Numerics;
}

interface Model extends ToLoad {
  device: Device;
}

/** How long a Worker computes before it looks at what else is asked, in milliseconds. */
const SLICE = 60;
/** Milliseconds between checkpoints. */
const CHECKPOINT_EVERY = 2000;
/** So many Workers are tried for one thing. */
const ATTEMPTS = 4;
/** The GPU has to be so much faster, since starting it takes a while and it is not the only one that uses it. */
const FASTER = 1.2;
/** So often a GPU may be lost before the processor is used. */
const LOSSES = 3;

export class Engine {
  /** Called when a Worker has died and another is about to take its place. */
  onDeath: (failure: Failure) => void = () => undefined;
  /** Called when the device has changed, or there is more to say of it. */
  onInfo: (info: ModelInfo) => void = () => undefined;

  #model: Model | undefined;
  #info: ModelInfo | undefined;
  readonly #told = new Told();
  #current: Promise<Handle> | undefined;
  #handle: Handle | undefined;
  #lost = 0;
  readonly #helpers = new Helpers();
  /** Counts models, so that what was begun for an earlier one is dropped. */
  #era = 0;

  get info(): ModelInfo | undefined {
    return this.#info;
  }

  /**
   * Loads a model. With "auto" it starts on the processor, which is quick, and goes over to the GPU once that has been tested,
   * measured and found faster; there it computes in half precision, where the GPU does that rightly.
   */
  async load(name: string, files: ModelFiles, device: 'auto' | Device, precision: 'auto' | Precision = 'auto', weights: Weights = 'auto'): Promise<ModelInfo> {
    this.#forget();
    const era = ++this.#era;
    this.#model = { name, files, precision, weights, device: device === 'webgpu' ? 'webgpu' : 'cpu' };
    if (device === 'webgpu') {
      try {
        return await this.#begin('chosen by hand');
      } catch (error) {
        if (era !== this.#era || LowshotError.from(error).kind === 'model') throw error;
        this.#model.device = 'cpu';
        return this.#begin(`WebGPU cannot be used: ${LowshotError.from(error).message}`);
      }
    }
    const info = await this.#begin(device === 'cpu' ? 'chosen by hand' : 'asking for a GPU…');
    if (device === 'auto') void this.#considerGpu(era);
    return info;
  }

  /** Classes and photos; what was learnt from others is forgotten. */
  async setGround(ground: Ground): Promise<void> {
    this.#told.setGround(ground);
    await this.#with((handle) => this.#told.tell(handle));
  }

  async imageFeatures(pixels: Pixels): Promise<Float32Array<ArrayBuffer>> {
    return (await this.describe(pixels)).features;
  }

  /** The same with how it was computed, since a GPU may take over at any moment. */
  describe(pixels: Pixels): Promise<Described> {
    return this.#with(async (handle) => {
      const { info } = details(handle);
      return { features: await this.#helpers.features(handle, pixels, this.#model), numerics: numericsOf(info) };
    });
  }

  classify(pixels: Pixels): Promise<readonly Prediction[]> {
    return this.#with((handle) => handle.call('classify', [pixels]));
  }

  classifyByText(pixels: Pixels, prompts: readonly (readonly string[])[]): Promise<readonly Prediction[]> {
    return this.#with((handle) => handle.call('classifyByText', [pixels, prompts]));
  }

  attention(pixels: Pixels): Promise<readonly Grid[]> {
    return this.#with((handle) => handle.call('attention', [pixels]));
  }

  map(): Promise<Float32Array<ArrayBuffer>> {
    return this.#with((handle) => handle.call('map', []));
  }

  measure(): Promise<number> {
    return this.#with((handle) => handle.call('measure', []));
  }

  async choose(method: string): Promise<void> {
    await this.#with((handle) => handle.call('choose', [method]));
    this.#told.choose(method);
  }

  /** A method that was learnt with this model and these classes. */
  async restore(label: string, kept: Kept): Promise<string> {
    const method = await this.#with((handle) => handle.call('restore', [label, kept]));
    this.#told.keep(method, kept);
    return method;
  }

  exportAdapter(templates: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
    return this.#with((handle) => handle.call('exportAdapter', [templates]));
  }

  /** Its classes replace the present ones; its method answers. Gives what restores it. */
  async importAdapter(label: string, bytes: Uint8Array): Promise<{ method: string; classes: readonly string[]; templates: readonly string[]; kept: Kept }> {
    const { opened, kept } = await this.#with(async (handle) => {
      const opened = await handle.call('importAdapter', [label, bytes]);
      return { opened, kept: await handle.call('kept', [opened.method, opened.templates]) };
    });
    const { method, classes, templates } = opened;
    const prompts = classes.map((name) => ({ name, prompts: templates.map((template) => fill(template, name)) }));
    this.#told.setGround({ classes: prompts, features: new Float32Array(), labels: [] });
    this.#told.keep(method, kept);
    this.#told.choose(method);
    return { method, classes, templates, kept };
  }

  /**
   * Judges and learns a method, from a checkpoint where there is one. Not asking for the next event is a pause. A Worker that dies
   * is replaced, and the training goes on from its last checkpoint.
   */
  async *train({ rung, pictures, templates, checkpoint, signal }: TrainOptions): AsyncGenerator<TrainEvent, void, void> {
    for (let attempt = 1; ; attempt++) {
      let handle: Handle | undefined;
      try {
        handle = await this.#alive();
        try {
          await handle.call('begin', [rung, checkpoint]);
        } catch (error) {
          // A checkpoint of something else is of no use, but no reason not to train.
          if (!checkpoint || LowshotError.from(error).kind !== 'adapter') throw error;
          checkpoint = undefined;
          await handle.call('begin', [rung, undefined]);
        }
        let pixels: Pixels | undefined;
        let stored = performance.now();
        for (;;) {
          check(signal);
          const slice: Slice = await handle.call('next', [SLICE, pixels], pixels ? [pixels.buffer] : []);
          yield { kind: 'progress', ...slice };
          if (slice.result) {
            const kept = await handle.call('kept', [rung.method, templates]);
            this.#told.keep(rung.method, kept);
            yield { kind: 'done', result: slice.result, kept };
            return;
          }
          check(signal);
          if (performance.now() - stored > CHECKPOINT_EVERY) {
            const bytes = await handle.call('checkpoint', []);
            stored = performance.now();
            if (bytes) {
              checkpoint = bytes;
              // Getting on, however often a Worker dies, is not failing.
              attempt = 1;
              yield { kind: 'checkpoint', bytes };
            }
          }
          pixels = slice.wanted && (await pictures(slice.wanted));
        }
      } catch (error) {
        if (!isDeath(error) || attempt === ATTEMPTS) throw error;
      } finally {
        await handle?.call('end', []).catch(() => undefined);
      }
    }
  }

  /** Ends everything. */
  dispose(): void {
    this.#era++;
    this.#forget();
    this.#model = undefined;
  }

  #forget(): void {
    this.#handle?.end();
    this.#handle = undefined;
    this.#current = undefined;
    this.#info = undefined;
    this.#helpers.end();
    this.#told.forget();
    this.#lost = 0;
  }

  async #begin(reason: string): Promise<ModelInfo> {
    const handle = await this.#alive();
    const info = await measured(handle, this.#model?.precision ?? 'auto', reason);
    this.#info = info;
    return info;
  }

  /** The Worker, or another in its place. */
  #alive(): Promise<Handle> {
    if (!this.#current) {
      const current = this.#start();
      this.#current = current;
      current.catch(() => {
        if (this.#current === current) this.#current = undefined;
      });
    }
    return this.#current;
  }

  async #start(): Promise<Handle> {
    const model = this.#model;
    if (!model) throw new LowshotError('usage', 'no model is loaded: load one first');
    const era = this.#era;
    let handle: Handle | undefined;
    try {
      handle = await loadedOn(model.device, model);
      this.#check(era);
      await this.#told.tell(handle);
      this.#check(era);
    } catch (error) {
      handle?.end();
      // A GPU that does not come back is lost once more.
      if (era === this.#era) this.#count(LowshotError.from(error).failure);
      throw error;
    }
    this.#keep(handle);
    return handle;
  }

  #check(era: number): void {
    if (era !== this.#era) throw new LowshotError('cancelled', 'another model was chosen');
  }

  #keep(handle: Handle): void {
    this.#handle = handle;
    void handle.gone.then((failure) => {
      if (this.#handle !== handle) return;
      this.#handle = undefined;
      this.#current = undefined;
      if (failure.kind === 'cancelled') return;
      this.#count(failure);
      this.onDeath(failure);
      // At once, so that it is there when it is needed.
      void this.#alive().catch(() => undefined);
    });
  }

  /** A GPU that is lost too often is not used any more. */
  #count(failure: Failure): void {
    if (failure.kind !== 'lost' || ++this.#lost < LOSSES || !this.#model || !this.#info) return;
    this.#model.device = 'cpu';
    this.#info = onProcessor(this.#info, this.#model.weights, `WebGPU fails too often: ${failure.message}`);
    this.onInfo(this.#info);
  }

  async #with<T>(work: (handle: Handle) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(await this.#alive());
      } catch (error) {
        if (!isDeath(error) || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Goes over to the GPU where there is one that is right and faster. */
  async #considerGpu(era: number): Promise<void> {
    const model = this.#model;
    if (!model) return;
    const say = (reason: string): void => {
      if (era !== this.#era || !this.#info) return;
      this.#info = { ...this.#info, reason };
      this.onInfo(this.#info);
    };
    const without = await noGpu();
    if (without) return say(without);
    let handle: Handle | undefined;
    try {
      handle = await loadedOn('webgpu', model);
      const info = await measured(handle, model.precision, '');
      const cpu = this.#info?.imagesPerSecond ?? 0;
      const ratio = info.imagesPerSecond / cpu;
      if (era !== this.#era || ratio < FASTER) {
        handle.end();
        return say(`the GPU (${info.deviceName}) reaches ${ratio.toFixed(2)} × the processor's speed here`);
      }
      for (let version; version !== this.#told.version; ) {
        version = this.#told.version;
        await this.#told.tell(handle);
        this.#check(era);
      }
      const before = this.#handle;
      model.device = 'webgpu';
      this.#current = Promise.resolve(handle);
      this.#keep(handle);
      this.#helpers.end();
      // What runs there sees it die and goes on here.
      before?.end({ kind: 'died', message: 'the GPU takes over' });
      this.#info = { ...info, reason: `${ratio.toFixed(1)} × the processor's speed here` };
      this.onInfo(this.#info);
    } catch (error) {
      handle?.end();
      say(`WebGPU is not used: ${LowshotError.from(error).message}`);
    }
  }
}

function isDeath(error: unknown): boolean {
  const { kind } = LowshotError.from(error);
  return kind === 'died' || kind === 'lost';
}

/** A sentence by a template, as `lowshot` makes it natively. */
export function fill(template: string, name: string): string {
  return template.replace('{}', () => name.replaceAll('_', ' '));
}
