/** Starting Workers: which module a browser takes, and several Workers as one. */
import { LowshotError } from './error.ts';
import { Handle } from './handle.ts';
import type { ModuleKind, Started } from './protocol.ts';

/** Compiled modules, which Workers share. */
const modules = new Map<ModuleKind, Promise<WebAssembly.Module>>();

const addresses: Record<ModuleKind, URL> = {
  cpu: new URL('../wasm/cpu/lowshot_bg.wasm', import.meta.url),
  relaxed: new URL('../wasm/relaxed/lowshot_bg.wasm', import.meta.url),
  threads: new URL('../wasm/threads/lowshot_bg.wasm', import.meta.url),
  gpu: new URL('../wasm/gpu/lowshot_bg.wasm', import.meta.url),
};

/** A module of one function: f32x4.relaxed_madd of three vectors. */
const RELAXED = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0],
  ...[65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 133, 2, 11],
);

/**
 * The module for the CPU that is the fastest this page takes. Workers share memory, so that one model computes on several cores, where the
 * page's server says COOP and COEP.
 */
let cpu: ModuleKind = !WebAssembly.validate(RELAXED) ? 'cpu' : globalThis.crossOriginIsolated ? 'threads' : 'relaxed';

function compiled(kind: ModuleKind): Promise<WebAssembly.Module> {
  let module = modules.get(kind);
  if (!module) {
    module = compile(addresses[kind]);
    modules.set(kind, module);
    // A failed download is tried again the next time.
    module.catch(() => modules.delete(kind));
  }
  return module;
}

async function compile(url: URL): Promise<WebAssembly.Module> {
  const response = await fetch(url).catch((error: unknown) => {
    throw new LowshotError('network', `the program could not be fetched (${LowshotError.from(error).message}): reload the page when there is a network`);
  });
  if (!response.ok) throw new LowshotError('network', `the program could not be fetched: the server says ${response.status}`);
  if (response.headers.get('content-type')?.startsWith('application/wasm')) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

/**
 * How many Workers are to compute together: half the cores, since many have each core twice and the page has more to do, but two where there
 * are two. Beyond eight the parts of a small model are too small to share out.
 */
export function workers(): number {
  const cores = navigator.hardwareConcurrency;
  return Math.min(8, Math.max(Math.min(2, cores), cores >> 1));
}

/** A Worker with its module started; where threads are wanted and may be had, it will compute on several cores. */
export async function started(device: 'cpu' | 'gpu', { threads = false } = {}): Promise<{ handle: Handle; start: Started }> {
  const kind = device === 'cpu' ? cpu : device;
  const handle = new Handle();
  try {
    const module = await compiled(kind);
    const start = await handle.call('start', [kind, module]);
    if (threads && start.memory) gather(handle, module, start.memory);
    return { handle, start };
  } catch (error) {
    handle.end();
    // Room for a memory that may grow is reserved at the start, and not every machine has 4 GiB of it.
    if (kind !== 'threads' || LowshotError.from(error).kind !== 'died') throw error;
    cpu = 'relaxed';
    return started(device);
  }
}

/** Gives a Worker others that compute for it, in its memory, as soon as they are there. From then on all end together. */
function gather(handle: Handle, module: WebAssembly.Module, memory: WebAssembly.Memory): void {
  for (let count = 1; count < workers(); count++) {
    const helper = new Handle();
    void handle.gone.then((why) => helper.end(why));
    const begin = async (): Promise<void> => {
      await helper.call('start', ['threads', module, memory]);
      // What it has begun nobody ends.
      void helper.gone.then((why) => handle.end(why));
      await helper.call('help', []);
    };
    begin().catch(() => helper.end());
  }
}
