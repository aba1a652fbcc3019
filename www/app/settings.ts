/** How is learnt: as it is at first and from visit to visit, as the core is told, and how long it takes. */
import type { RungOptions } from '../engine/protocol.ts';
import type { Method, ModelState, Settings } from './state.ts';

/** What training through the towers costs in passes of the image tower: there, back, and as much again for the texts. */
const PASSES = 4;
/** The core's own for training through the towers (`src/session/options.rs`). */
const TOWER_FOLDS = 3;
const TOWER_BATCH = 8;

export const DEFAULT_SETTINGS: Settings = {
  device: 'auto',
  precision: 'auto',
  weights: 'auto',
  methods: ['zero-shot', 'tip', 'meta', 'lora+bitfit'],
  loraSteps: 60,
  loraRank: 2,
  learningRate: 0,
  metaSteps: 100,
  seed: 1,
};

const STORED = 'lowshot-settings';

/** The settings of the last visit. */
export function storedSettings(): Settings {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? '{}') as Partial<Settings>;
    const known = Object.entries(stored).filter(([key, value]) => typeof value === typeof DEFAULT_SETTINGS[key as keyof Settings]);
    return { ...DEFAULT_SETTINGS, ...Object.fromEntries(known) };
  } catch {
    return DEFAULT_SETTINGS;
  }
}

export function storeSettings(settings: Settings): void {
  try {
    localStorage.setItem(STORED, JSON.stringify(settings));
  } catch {
    // They are as they were the next time.
  }
}

export function forgetSettings(): void {
  localStorage.removeItem(STORED);
}

/** What is 0 is left to the core. */
export function rungOptions({ seed, metaSteps, loraSteps, loraRank, learningRate }: Settings, method: Method): RungOptions {
  const given = (value: number): boolean => value > 0;
  return {
    method,
    seed,
    ...(given(metaSteps) ? { metaSteps } : {}),
    ...(given(loraSteps) ? { loraSteps } : {}),
    ...(given(loraRank) ? { loraRank } : {}),
    ...(given(learningRate) ? { learningRate } : {}),
  };
}

/** 0 for what takes seconds. */
export function expectedSeconds(settings: Settings, model: ModelState, method: Method): number {
  if (method !== 'lora+bitfit' || !model.info) return 0;
  const steps = (TOWER_FOLDS + 1) * (settings.loraSteps || 60) * TOWER_BATCH;
  return Math.round((steps * PASSES) / model.info.imagesPerSecond);
}
