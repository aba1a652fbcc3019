/**
 * What the page shows: one snapshot, replaced as a whole whenever something changes. Views read it and call `Actions`; they keep
 * nothing of their own but what is open and what is being typed.
 */

import type { ModelInfo as LoadedModel } from '../engine/engine.ts';
import type { Device, Precision, RungResult as CoreResult, Weights } from '../engine/protocol.ts';

export type { Device, Precision, Weights };

export type Id = string;

/** A kind of thing to tell apart. */
export interface ClassCard {
  readonly id: Id;
  readonly name: string;
  /** Index into the palette; a class keeps its colour when others go. */
  readonly colour: number;
  /** Off: its photos are kept, but it is not learnt. */
  readonly enabled: boolean;
  /** In the order that they were added; newest last. */
  readonly samples: readonly Sample[];
}

/** One photo of a class. Its pixels lie in storage, never here. */
export interface Sample {
  readonly id: Id;
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** "ready" once its features by the present model are known. */
  readonly state: 'waiting' | 'ready' | 'failed';
  /** One line, where it failed. */
  readonly problem?: string;
}

export interface Project {
  readonly id: Id;
  readonly name: string;
  readonly classes: readonly ClassCard[];
  /** How texts are made of a class's name, `{}` standing for it. */
  readonly templates: readonly string[];
  readonly savedAt: number;
  /** What undo would undo, in words ("deleting 3 photos"), where there is anything. */
  readonly undo?: string;
  /** What redo would do again. */
  readonly redo?: string;
}

export interface ProjectSummary {
  readonly id: Id;
  readonly name: string;
  readonly classes: number;
  readonly samples: number;
  readonly savedAt: number;
  /** Why it cannot be opened, in one line; it can be deleted all the same. */
  readonly problem?: string;
}

/** A model that can be used. */
export interface Model {
  /** What `lowshot --model` takes natively, or a name made of the dropped files. */
  readonly name: string;
  readonly about: string;
  readonly parametersMillions: number;
  readonly imageSize: number;
  /** Bytes to download; 0 for what comes with the page. */
  readonly bytes: number;
  /** Bytes that lie in this browser's storage. */
  readonly cachedBytes: number;
  /** A part of its files is stored: a download that was stopped or has failed. */
  readonly begun: boolean;
  readonly source: 'inside' | 'hub' | 'file';
  /** Whether its texts are of use for zero-shot ("words" false for the demo model, which knows 61 nouns). */
  readonly knowsWords: boolean;
}

export interface ModelState {
  readonly status: 'none' | 'downloading' | 'loading' | 'ready' | 'failed';
  readonly name: string;
  /** Bytes over all files, while downloading. */
  readonly progress?: { readonly done: number; readonly total: number; readonly file: string };
  /** One line, where it failed. */
  readonly problem?: string;
  readonly info?: ModelInfo;
  /** Why this device, in one line ("WebGPU: 12 × faster than the CPU here"). */
  readonly reason?: string;
}

/** What views show of the model in use. */
export type ModelInfo = Omit<LoadedModel, 'preprocess' | 'reason'>;

export type Method = 'zero-shot' | 'tip' | 'meta' | 'lora+bitfit';

/** One row of the ladder. */
export interface Rung {
  readonly method: Method;
  readonly status: 'waiting' | 'running' | 'done' | 'skipped' | 'failed';
  /** While running: what part is done, 0..1, and what is being done. */
  readonly progress?: { readonly fraction: number; readonly stage: 'check' | 'final'; readonly fold: number; readonly folds: number };
  readonly problem?: string;
  readonly result?: RungResult;
  /** Seconds that it is expected to take, where it is skipped for being long. */
  readonly expectedSeconds?: number;
}

/** What a method is worth; per class in the order of `Training.classes`. */
export interface RungResult extends Omit<CoreResult, 'method' | 'predictions'> {
  readonly method: Method;
  readonly predictions: readonly HeldOut[];
  readonly seconds: number;
}

/** What was said of a photo by a model that had not learnt from it. */
export interface HeldOut {
  readonly sample: Id;
  readonly label: number;
  readonly predicted: number;
  readonly confidence: number;
}

export interface Training {
  readonly status: 'idle' | 'running' | 'paused' | 'done' | 'failed';
  /** The classes that it is of, by id, in the order of the logits; photos added since are not in it. */
  readonly classes: readonly Id[];
  readonly ladder: readonly Rung[];
  /** The method in use. */
  readonly used?: Method;
  /** Loss by step of what is being trained. */
  readonly curve: { readonly method: Method; readonly losses: readonly number[]; readonly steps: number } | null;
  /** Photos or classes changed since. */
  readonly stale: boolean;
  /** Where each sample lies on the map, once it is computed. */
  readonly map?: readonly { readonly sample: Id; readonly x: number; readonly y: number }[];
  readonly problem?: string;
}

export interface Settings {
  readonly device: 'auto' | Device;
  /** On a GPU. */
  readonly precision: 'auto' | Precision;
  /** On the processor. */
  readonly weights: Weights;
  readonly methods: readonly Method[];
  readonly loraSteps: number;
  readonly loraRank: number;
  readonly learningRate: number;
  readonly metaSteps: number;
  readonly seed: number;
}

export interface Storage {
  /** "memory": the browser refuses to store, so everything goes when the tab is closed. */
  readonly mode: 'persistent' | 'memory';
  readonly usedBytes: number;
  readonly quotaBytes: number;
  readonly problem?: string;
}

/** A message for the visitor; it goes when it is dismissed, or after a while where it is good news. */
export interface Notice {
  readonly id: Id;
  readonly kind: 'info' | 'good' | 'problem';
  readonly text: string;
  /** One for each of many things that the text is about. */
  readonly lines?: readonly string[];
  readonly action?: { readonly label: string; readonly run: () => void };
}

/** A picture to try that comes with the sample project and is in none of its classes. */
export interface Example {
  readonly name: string;
  /** On this site; it is fetched when it is tried. */
  readonly url: string;
  /** The name of the class that it is of, where that is known. */
  readonly truth?: string;
}

/** Where photos of a sample come from, as their licences ask to be told. */
export interface Credit {
  readonly title: string;
  readonly by: string;
  readonly license: string;
  readonly source: string;
}

export interface State {
  readonly project: Project;
  readonly projects: readonly ProjectSummary[];
  readonly models: readonly Model[];
  readonly model: ModelState;
  readonly training: Training;
  readonly settings: Settings;
  readonly storage: Storage;
  readonly notices: readonly Notice[];
  /** Pictures to try at once, of the sample that the project began as; empty for others. */
  readonly examples: readonly Example[];
  /** Of the sample that the project began as. */
  readonly credits: readonly Credit[];
  /** Photos being added: how many of how many. */
  readonly adding?: { readonly done: number; readonly total: number };
  /** Everything needed is stored: it works without a network. */
  readonly offline: boolean;
}

/** What is said of a picture. */
export interface Answer {
  /** Calibrated, in the order of `classes`; they sum to 1. */
  readonly probabilities: readonly number[];
  readonly classes: readonly { readonly id: Id; readonly name: string; readonly colour: number }[];
  readonly best: number;
  /** "close": the best two are near each other; "unlike": unlike every photo that was learnt from. */
  readonly unsure?: 'close' | 'unlike';
  readonly method: Method;
  readonly milliseconds: number;
}

/** What came of a picture. */
export interface Looked {
  readonly answer?: Answer;
  /** Why there is no answer, as a sentence. */
  readonly problem?: string;
  /** The picture itself cannot be opened, whatever is asked of it. */
  readonly unreadable?: boolean;
}

/** Where the model looked: a square grid of what its class token attends to, row by row, from 0 to 1. */
export interface Attention {
  readonly side: number;
  readonly values: readonly number[];
  /** The part of the picture that the model sees, as fractions of its width and height. */
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
}
