/** What a Worker with a model is worth: the name of its device, and its speed there. */
import type { Handle } from './handle.ts';
import { type ToLoad, details } from './loading.ts';
import type { Info, Weights } from './protocol.ts';

export interface ModelInfo extends Info {
  /** "Apple M3", "1 thread, SIMD"… */
  readonly deviceName: string;
  readonly imagesPerSecond: number;
  /** Why this device, in one line. */
  readonly reason: string;
  /** Why not half precision, where the GPU was to use it. */
  readonly precisionReason?: string;
}

/** Turns of the measurement, and milliseconds after which no other is begun. */
const TURNS = 4;
const LONGEST_MEASUREMENT = 500;

const CPU_NAME = '1 thread, SIMD';

/** What the Worker says of its model, with its speed; `wanted` is the precision that was asked for. */
export async function measured(handle: Handle, wanted: ToLoad['precision'], reason: string): Promise<ModelInfo> {
  const { info, gpu } = details(handle);
  const half = gpu && wanted !== 'f32' && info.precision === 'f32';
  const why = half ? { precisionReason: `f32 and not f16: ${gpu.f16Problem ?? 'the GPU does not say why'}` } : {};
  return { ...info, deviceName: gpu?.name ?? CPU_NAME, imagesPerSecond: await speed(handle), reason, ...why };
}

/** The same model on the processor with such weights, not measured anew. */
export function onProcessor({ precisionReason: _, ...info }: ModelInfo, weights: Weights, reason: string): ModelInfo {
  return { ...info, device: 'cpu', precision: 'f32', weights, deviceName: CPU_NAME, reason };
}

/** Pictures per second, the best of a few turns: in any of them something else may have had the processor. */
async function speed(handle: Handle): Promise<number> {
  const start = performance.now();
  let best = 0;
  for (let turn = 0; turn < TURNS && (turn === 0 || performance.now() - start < LONGEST_MEASUREMENT); turn++) {
    best = Math.max(best, await handle.call('measure', []));
  }
  return best;
}
