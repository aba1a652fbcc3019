/** A model in a Worker: which device it can be on, and how it gets there. */
import { LowshotError } from './error.ts';
import type { Handle } from './handle.ts';
import type { Device, GpuReport, Info, Precision, Weights } from './protocol.ts';
import { started } from './start.ts';

/** Gives the files of a model, which go to a Worker for good; asked again when it has to be replaced. */
export type ModelFiles = () => Promise<ReadonlyMap<string, Uint8Array>>;

/** What is known of a Worker beside what it answers. */
const known = new WeakMap<Handle, Details>();

interface Details {
  readonly info: Info;
  readonly gpu: GpuReport | undefined;
  /** It computes on several cores. */
  readonly threads: boolean;
}

export function details(handle: Handle): Details {
  const found = known.get(handle);
  if (!found) throw new LowshotError('failed', 'the Worker has loaded nothing');
  return found;
}

/** A model, and how it is to be loaded. */
export interface ToLoad {
  readonly name: string;
  readonly files: ModelFiles;
  /** "auto" is half precision on GPUs that can do it. */
  readonly precision: 'auto' | Precision;
  readonly weights: Weights;
}

/** A Worker that has loaded a model on a device. */
export async function loadedOn(device: Device, { name, files, precision, weights }: ToLoad): Promise<Handle> {
  // While the program is compiled, the weights are fetched.
  const [{ handle, start }, loaded] = await both(started(device === 'webgpu' ? 'gpu' : 'cpu', { threads: true }), files());
  try {
    if (device === 'webgpu' && !start.gpu?.usable) throw new LowshotError('lost', start.gpu?.problem ?? 'there is no GPU');
    const used = device === 'webgpu' && precision !== 'f32' && start.gpu?.f16 ? 'f16' : 'f32';
    const form = device === 'webgpu' ? 'auto' : weights;
    const info = await handle.call('load', [name, loaded, device, used, form], [...loaded.values()].map(({ buffer }) => buffer as ArrayBuffer));
    known.set(handle, { info, gpu: device === 'webgpu' ? start.gpu : undefined, threads: start.memory !== undefined });
    return handle;
  } catch (error) {
    handle.end();
    throw error;
  }
}

/** Both, or no Worker is left behind. */
async function both<A extends { handle: Handle }, B>(worker: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  try {
    return await Promise.all([worker, other]);
  } catch (error) {
    void worker.then(({ handle }) => handle.end(), () => undefined);
    throw error;
  }
}

/** Why there is no GPU worth trying, without starting anything; nothing where there may be one. */
export async function noGpu(): Promise<string | undefined> {
  if (!navigator.gpu) return 'this browser has no WebGPU';
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return 'the browser has WebGPU, but no GPU for it';
  const { info } = adapter;
  if (info.isFallbackAdapter || /swiftshader|llvmpipe/i.test(`${info.architecture} ${info.device} ${info.description}`)) {
    return 'the only GPU is one in software, which is slower than the processor itself';
  }
  return undefined;
}
