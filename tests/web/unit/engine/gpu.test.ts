import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Engine, type ModelInfo } from '../../../../www/engine/engine.ts';
import type { Pixels } from '../../../../www/engine/protocol.ts';
import { type Decide, type FakeWorker, alive, browser, decideBy, keptOf, lost, workers } from '../support/workers.ts';

const PIXELS = new Uint8Array() as Pixels;
const none = async (): Promise<ReadonlyMap<string, Uint8Array>> => new Map();
const GROUND = { classes: [{ name: 'cat', prompts: ['a cat'] }], features: Float32Array.of(1, 2), labels: [0] };

let engine: Engine;
let told: ModelInfo[];
beforeEach(() => {
  browser({ gpu: true });
  engine = new Engine();
  told = [];
  engine.onInfo = (info) => told.push(info);
});
afterEach(() => vi.unstubAllGlobals());

const devices = (): string[] => workers.map(({ device }) => device);
/** What the Workers for the GPU are asked. */
const ofGpu = (decide: Decide): Decide => (call) => (call.worker.arguments[0]?.[0] === 'gpu' ? decide(call) : undefined);

describe('a GPU that is chosen by hand', () => {
  test('is used', async () => {
    expect(await engine.load('demo', none, 'webgpu')).toMatchObject({ device: 'webgpu', deviceName: 'Fake GPU', imagesPerSecond: 100, reason: 'chosen by hand' });
  });

  test('and cannot be used: the processor is, and it is said why', async () => {
    decideBy(ofGpu(({ name }) => (name === 'start' ? { value: { version: '1', gpu: { usable: false, problem: 'it lacks f16', name: '', software: false, f16: false } } } : undefined)));
    expect(await engine.load('demo', none, 'webgpu')).toMatchObject({ device: 'cpu', deviceName: '1 thread, SIMD', reason: 'WebGPU cannot be used: it lacks f16' });
    expect(alive().map(({ device }) => device)).toEqual(['cpu']);
  });

  test('and the model is damaged: the processor would not help', async () => {
    decideBy(({ name }) => (name === 'load' ? { failure: { kind: 'model', message: 'it is damaged' } } : undefined));
    await expect(engine.load('demo', none, 'webgpu')).rejects.toMatchObject({ kind: 'model' });
    expect(workers).toHaveLength(1);
  });
});

describe('half precision', () => {
  const gpu = (report: object): Decide => ofGpu(({ name }) => (name === 'start' ? { value: { version: '1', gpu: { usable: true, name: 'Fake GPU', software: false, ...report } } } : undefined));

  test('is what a GPU computes in that does it rightly, and nothing needs to be said', async () => {
    const info = await engine.load('demo', none, 'webgpu');
    expect(info.precision).toBe('f16');
    expect(info.precisionReason).toBeUndefined();
  });

  test.each(['auto', 'f16'] as const)('%s: is not used where the GPU does it wrongly or not at all, and it is said why', async (precision) => {
    decideBy(gpu({ f16: false, f16Problem: 'it computes wrongly in f16 (off by 3 of 2)' }));
    const { device, precision: used, precisionReason } = await engine.load('demo', none, 'webgpu', precision);
    expect([device, used]).toEqual(['webgpu', 'f32']);
    expect(precisionReason).toBe('f32 and not f16: it computes wrongly in f16 (off by 3 of 2)');
  });

  test('is not used where that was chosen by hand', async () => {
    const info = await engine.load('demo', none, 'webgpu', 'f32');
    expect(info.precision).toBe('f32');
    expect(info.precisionReason).toBeUndefined();
  });

  test('narrow weights are for the processor', async () => {
    expect((await engine.load('demo', none, 'cpu', 'auto', 'int8')).weights).toBe('int8');
    expect((await engine.load('demo', none, 'webgpu', 'auto', 'int8')).weights).toBe('auto');
    expect((await engine.load('demo', none, 'cpu')).weights).toBe('auto');
  });

  test('is nothing for the processor, not even when the GPU is lost for good', async () => {
    expect((await engine.load('demo', none, 'cpu', 'f16')).precision).toBe('f32');
    await engine.load('demo', none, 'webgpu');
    await engine.setGround(GROUND);
    decideBy(ofGpu(({ name }) => (name === 'imageFeatures' ? lost : undefined)));
    await engine.imageFeatures(PIXELS);
    expect(engine.info).toMatchObject({ device: 'cpu', precision: 'f32' });
    expect(workers.at(-1)?.arguments[1]?.[3]).toBe('f32');
  });
});

describe('a GPU that is lost', () => {
  test('twice is asked for again', async () => {
    await engine.load('demo', none, 'webgpu');
    await engine.setGround(GROUND);
    decideBy(({ worker, name }) => (worker.number < 2 && name === 'imageFeatures' ? lost : undefined));
    expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(2));
    expect(devices()).toEqual(['webgpu', 'webgpu', 'webgpu']);
    expect(told).toEqual([]);
  });

  test('three times is not used any more: the processor goes on, knows everything, and it is said why', async () => {
    await engine.load('demo', none, 'webgpu');
    await engine.setGround(GROUND);
    await engine.choose('tip');
    decideBy(ofGpu(({ name }) => (name === 'imageFeatures' ? lost : undefined)));
    expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(3));
    expect(devices()).toEqual(['webgpu', 'webgpu', 'webgpu', 'cpu']);
    expect(workers[3]?.calls).toEqual(['start', 'load', 'setClasses', 'setExamples', 'choose', 'imageFeatures']);
    expect(told).toHaveLength(1);
    expect(engine.info).toMatchObject({ device: 'cpu', deviceName: '1 thread, SIMD', reason: 'WebGPU fails too often: the GPU was lost' });
  });

  test('and does not come back: the processor goes on', async () => {
    await engine.load('demo', none, 'webgpu');
    const gone = { value: { version: '1', gpu: { usable: false, problem: 'there is no GPU any more', name: '', software: false, f16: false } } };
    decideBy(ofGpu(({ worker, name }) => (worker.number === 0 && name === 'imageFeatures' ? lost : worker.number > 0 && name === 'start' ? gone : undefined)));
    await engine.imageFeatures(PIXELS);
    expect(alive().map(({ device }) => device)).toEqual(['cpu']);
    expect(engine.info).toMatchObject({ device: 'cpu', reason: 'WebGPU fails too often: there is no GPU any more' });
  });

  test('whenever it is told something: the processor goes on', async () => {
    await engine.load('demo', none, 'webgpu');
    decideBy(ofGpu(({ name }) => (name === 'setClasses' ? lost : undefined)));
    await engine.setGround(GROUND);
    expect(alive().map(({ device }) => device)).toEqual(['cpu']);
  });

  test('is forgiven by another model', async () => {
    await engine.load('first', none, 'webgpu');
    decideBy(({ worker, name }) => (worker.number < 2 && name === 'imageFeatures' ? lost : undefined));
    await engine.imageFeatures(PIXELS);
    await engine.load('second', none, 'webgpu');
    decideBy(({ worker, name }) => (worker.number < 5 && name === 'imageFeatures' ? lost : undefined));
    await engine.imageFeatures(PIXELS);
    expect(new Set(devices())).toEqual(new Set(['webgpu']));
  });
});

describe('where the device is left to the page', () => {
  const settled = async (): Promise<ModelInfo> => {
    await expect.poll(() => told.length).toBe(1);
    return told[0] as ModelInfo;
  };

  test('the processor is there first, and the GPU takes over where it is faster', async () => {
    expect(await engine.load('demo', none, 'auto')).toMatchObject({ device: 'cpu', reason: 'asking for a GPU…' });
    expect(await settled()).toMatchObject({ device: 'webgpu', reason: '10.0 × the processor\'s speed here' });
    expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(1));
    expect(alive()).toEqual([workers[1]]);
  });

  test('the processor stays where the GPU is hardly faster', async () => {
    decideBy(ofGpu(({ name }) => (name === 'measure' ? { value: 11.9 } : undefined)));
    await engine.load('demo', none, 'auto');
    expect(await settled()).toMatchObject({ device: 'cpu', reason: 'the GPU (Fake GPU) reaches 1.19 × the processor\'s speed here' });
    expect(alive()).toEqual([workers[0]]);
  });

  test('the processor stays where the GPU fails', async () => {
    decideBy(ofGpu(({ name }) => (name === 'load' ? lost : undefined)));
    await engine.load('demo', none, 'auto');
    expect(await settled()).toMatchObject({ device: 'cpu', reason: 'WebGPU is not used: the GPU was lost' });
    expect(alive()).toEqual([workers[0]]);
  });

  test.each([
    [{}, 'this browser has no WebGPU'],
    [{ gpu: { requestAdapter: async () => null } }, 'the browser has WebGPU, but no GPU for it'],
    [{ gpu: { requestAdapter: async () => Promise.reject(new Error('blocked')) } }, 'the browser has WebGPU, but no GPU for it'],
    [{ gpu: { requestAdapter: async () => ({ info: { architecture: 'SwiftShader', device: '', description: '' } }) } }, 'the only GPU is one in software, which is slower than the processor itself'],
  ])('no Worker is started for a GPU that is not there (%#)', async (navigator, reason) => {
    vi.stubGlobal('navigator', navigator);
    await engine.load('demo', none, 'auto');
    expect((await settled()).reason).toBe(reason);
    expect(workers).toHaveLength(1);
  });

  test('training goes on on the GPU', async () => {
    let measured = (): void => undefined;
    decideBy(ofGpu(({ name, count }) => (name === 'measure' && count === 1 ? new Promise((resolve) => (measured = () => resolve(undefined))) : undefined)));
    await engine.load('demo', none, 'auto');
    await engine.setGround(GROUND);
    const kinds: string[] = [];
    for await (const event of engine.train({ rung: { method: 'tip' }, pictures: async () => PIXELS, templates: [] })) {
      kinds.push(event.kind);
      if (kinds.length !== 3) continue;
      await expect.poll(() => workers[1]?.calls).toContain('measure');
      measured();
      await expect.poll(() => workers[0]?.ended).toBe(true);
    }
    expect(kinds.at(-1)).toBe('done');
    expect(workers[1]?.calls).toContain('next');
  });

  /** While the GPU is told its classes, something else happens. */
  async function whileTold(happens: () => Promise<unknown>): Promise<void> {
    const gate = (): { opened: Promise<undefined>; open: () => void } => {
      let open = (): void => undefined;
      return { opened: new Promise((resolve) => (open = () => resolve(undefined))), open: () => open() };
    };
    const [known, begun, over] = [gate(), gate(), gate()];
    decideBy(
      ofGpu(({ name, count }) => {
        if (name === 'measure') return known.opened;
        if (name !== 'setClasses' || count > 1) return undefined;
        begun.open();
        return over.opened;
      }),
    );
    await engine.load('demo', none, 'auto');
    await engine.setGround(GROUND);
    known.open();
    await begun.opened;
    await happens();
    over.open();
  }

  test('what the processor is told while the GPU is told the rest is told to the GPU too', async () => {
    const other = { ...GROUND, classes: [{ name: 'dog', prompts: ['a dog'] }] };
    await whileTold(async () => {
      await engine.setGround(other);
      await engine.restore('what was learnt', keptOf('tip'));
      await engine.choose('tip');
    });
    expect((await settled()).device).toBe('webgpu');
    const { calls, arguments: given } = workers[1] as FakeWorker;
    expect(given[calls.lastIndexOf('setClasses')]).toEqual([other.classes]);
    expect(calls.slice(-4)).toEqual(['setClasses', 'setExamples', 'restore', 'choose']);
    expect(given.at(-1)).toEqual(['tip']);
  });

  test('another model that is chosen meanwhile is not replaced by the GPU’s old one', async () => {
    await whileTold(() => engine.load('second', none, 'cpu'));
    await expect.poll(() => alive().length).toBe(1);
    expect(alive()[0]?.arguments[1]?.[0]).toBe('second');
    expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(2));
    expect(engine.info).toMatchObject({ name: 'second', device: 'cpu' });
    expect(told).toEqual([]);
  });

  test('the end of everything meanwhile leaves no Worker', async () => {
    await whileTold(async () => engine.dispose());
    await expect.poll(() => alive()).toEqual([]);
  });
});
