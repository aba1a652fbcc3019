/** What passes between the page and its Workers. Types only. */

/** What a model is, as the core says it. */
export interface Info {
  readonly name: string;
  readonly sha256: string;
  readonly parameters: number;
  readonly imageSize: number;
  /** Width of the features. */
  readonly embedding: number;
  readonly device: Device;
  /** What the towers compute in. */
  readonly precision: Precision;
  readonly weights: Weights;
  /** How pictures are prepared for it, for `prepare`; two models with the same text see the same pixels. */
  readonly preprocess: string;
}

export type Device = 'cpu' | 'webgpu';

/** Single or half precision. Whatever learns is in single precision. */
export type Precision = 'f32' | 'f16';

/** How matrices lie in memory on the processor; "auto" is the narrowest form that changes nothing. On a GPU it is always that. */
export type Weights = 'auto' | 'f32' | 'f16' | 'int8';

/** What was found when the browser was asked for a GPU. */
export interface GpuReport {
  readonly usable: boolean;
  readonly problem?: string;
  readonly name: string;
  /** It is the processor in a GPU's clothes. */
  readonly software: boolean;
  /** It computes in half precision, and rightly. */
  readonly f16: boolean;
  /** Why not. */
  readonly f16Problem?: string;
}

/** A class as it is described to the model: sentences that name it, as many for each. */
export interface Prompts {
  readonly name: string;
  readonly prompts: readonly string[];
}

/** A method and how it is to learn; what is not given is chosen by the core (`src/session/options.rs`). */
export interface RungOptions {
  readonly method: string;
  readonly seed?: number;
  readonly folds?: number;
  readonly metaSteps?: number;
  readonly loraSteps?: number;
  readonly loraRank?: number;
  readonly learningRate?: number;
  readonly augment?: 'none' | 'crop-flip';
  readonly batch?: number;
}

/** A picture that training asks for: `example` counts the photos, `view` goes to `trainingView`. */
export interface Wanted {
  readonly example: number;
  readonly view: string;
}

/** What a slice of training came to. */
export interface Slice {
  /** "check" while photos are left out, then "final". */
  readonly stage: 'check' | 'final';
  readonly fold: number;
  readonly folds: number;
  /** The last step that was done, counted from 1 in each part. */
  readonly step: number;
  readonly steps: number;
  /** Of the steps of this slice. */
  readonly losses: readonly number[];
  readonly fraction: number;
  /** What the next call has to bring. */
  readonly wanted?: readonly Wanted[];
  /** Once everything is done. */
  readonly result?: RungResult;
}

/** What a method is worth on photos that it had not learnt from. */
export interface RungResult {
  readonly method: string;
  readonly correct: number;
  readonly n: number;
  readonly accuracy: number;
  /** 95 %. */
  readonly interval: readonly [number, number];
  /** In how many parts the photos were left out; 0 where nothing is learnt. */
  readonly folds: number;
  readonly leaveOneOut: boolean;
  readonly perClass: readonly { readonly n: number; readonly accuracy: number | null }[];
  /** `[label][prediction]`. */
  readonly confusion: readonly (readonly number[])[];
  readonly predictions: readonly { readonly example: number; readonly label: number; readonly predicted: number; readonly confidence: number }[];
  readonly trainableParameters: number;
}

/** What is said of a picture. */
export interface Prediction {
  /** Calibrated, in the order of the classes; they sum to 1. */
  readonly probabilities: readonly number[];
  readonly best: number;
  readonly unsure?: 'close' | 'unlike';
}

/** Where the model looked: a square grid, row by row. */
export interface Grid {
  readonly side: number;
  readonly values: Float32Array;
}

/** A learnt method at rest: an adapter file, and what such a file does not say. Plain data that can be stored. */
export interface Kept {
  readonly adapter: Uint8Array<ArrayBuffer>;
  readonly calibration: string;
  readonly examples: Float32Array<ArrayBuffer>;
}

/** A photo as the model sees it, and a thumbnail for people. */
export interface Prepared {
  readonly width: number;
  readonly height: number;
  readonly sha256: string;
  /** `imageSize · imageSize · 3` bytes. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** Nothing where none was asked for. */
  readonly thumbnail?: Blob;
  /** The part of the picture that the model sees, as fractions of its width and height. */
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
}

export type Pixels = Uint8Array<ArrayBuffer>;

/**
 * "relaxed" is "cpu" with relaxed SIMD, which not every browser has; "threads" is "relaxed" on several cores, for pages that may
 * share memory; "gpu" is the large one.
 */
export type ModuleKind = 'cpu' | 'relaxed' | 'threads' | 'gpu';

export interface Started {
  readonly version: string;
  readonly gpu?: GpuReport;
  readonly memory?: WebAssembly.Memory;
}

/** Everything that a Worker can be asked. One thing at a time: it queues. */
export interface Calls {
  /**
   * Takes the compiled module, and the memory of another Worker to compute in. Says what GPU there is, where it is the one for GPUs,
   * and which memory it has, where others may share it.
   */
  start(kind: ModuleKind, module: WebAssembly.Module, memory?: WebAssembly.Memory): Started;
  /** Computes for the Worker whose memory this one has, and never ends. */
  help(): void;
  load(name: string, files: ReadonlyMap<string, Uint8Array>, device: Device, precision: Precision, weights: Weights): Info;
  /** Pictures per second through the image tower. */
  measure(): number;
  setClasses(classes: readonly Prompts[]): void;
  setExamples(features: Float32Array, labels: Uint32Array): void;
  imageFeatures(pixels: Pixels): Float32Array<ArrayBuffer>;
  begin(options: RungOptions, checkpoint?: Uint8Array): void;
  /** Works for about so many milliseconds; brings the pictures that the slice before wanted. */
  next(milliseconds: number, pixels?: Pixels): Slice;
  checkpoint(): Uint8Array<ArrayBuffer> | undefined;
  /** Lets go of the method under way. */
  end(): void;
  choose(method: string): void;
  kept(method: string, templates: readonly string[]): Kept;
  restore(label: string, kept: Kept): string;
  classify(pixels: Pixels): readonly Prediction[];
  classifyByText(pixels: Pixels, prompts: readonly (readonly string[])[]): readonly Prediction[];
  attention(pixels: Pixels): readonly Grid[];
  /** x and y of each photo. */
  map(): Float32Array<ArrayBuffer>;
  exportAdapter(templates: readonly string[]): Uint8Array<ArrayBuffer>;
  importAdapter(label: string, bytes: Uint8Array): { readonly method: string; readonly classes: readonly string[]; readonly templates: readonly string[] };
  prepare(photo: Blob, name: string, preprocess: string, thumbnailSide: number): Prepared;
  trainingView(photo: Blob, name: string, preprocess: string, view: string): Pixels;
  /** SHA-256 in hexadecimal, and the bytes back. */
  digest(bytes: Uint8Array<ArrayBuffer>): { readonly bytes: Uint8Array<ArrayBuffer>; readonly sha256: string };
  /** Bytes of WebAssembly's memory, which never shrinks. */
  memory(): number;
}

export type CallName = keyof Calls;

export interface Request {
  readonly id: number;
  readonly name: CallName;
  readonly arguments: readonly unknown[];
}

/** Why something failed: one line for people and a kind for the program. */
export interface Failure {
  readonly message: string;
  readonly kind: ErrorKind;
}

/**
 * "died": the Worker is gone or must not be used any more; "lost": the same, because of its GPU. The others are the core's
 * (`src/web/error.rs`), "network" and "storage" are the page's.
 */
export type ErrorKind = 'image' | 'model' | 'adapter' | 'data' | 'usage' | 'failed' | 'died' | 'lost' | 'network' | 'storage' | 'cancelled';

export type Response =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: Failure }
  /** It holds the lock that it was told to hold. */
  | { readonly locked: true }
  /** It can do nothing more. */
  | { readonly fatal: Failure };
