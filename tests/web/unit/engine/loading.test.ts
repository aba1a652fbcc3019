import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Engine } from '../../../../www/engine/engine.ts';
import type { Pixels } from '../../../../www/engine/protocol.ts';
import { type Fate, alive, browser, decideBy, workers } from '../support/workers.ts';

const PIXELS = new Uint8Array() as Pixels;
const none = async (): Promise<ReadonlyMap<string, Uint8Array>> => new Map();

let engine: Engine;
beforeEach(() => {
  browser();
  engine = new Engine();
});
afterEach(() => vi.unstubAllGlobals());

/** A call that waits until the test lets it go on. */
function held(call: string, number = 0): { reached: Promise<void>; release: () => void } {
  let [reach, release] = [() => undefined as void, () => undefined as void];
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const released = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  decideBy(({ worker, name }) => {
    if (worker.number !== number || name !== call) return undefined;
    reach();
    return released;
  });
  return { reached, release };
}

describe('a model', () => {
  test('on the processor is loaded, measured and described', async () => {
    const info = await engine.load('demo', none, 'cpu');
    expect(info).toMatchObject({ name: 'demo', device: 'cpu', deviceName: '1 thread, SIMD', imagesPerSecond: 10, reason: 'chosen by hand' });
    expect(engine.info).toEqual(info);
  });

  test('that is damaged leaves no Worker behind', async () => {
    decideBy(({ name }) => (name === 'load' ? { failure: { kind: 'model', message: 'config.json is damaged' } } : undefined));
    await expect(engine.load('demo', none, 'cpu')).rejects.toMatchObject({ kind: 'model' });
    expect(alive()).toEqual([]);
    expect(engine.info).toBeUndefined();
  });

  test('whose files cannot be had leaves no Worker behind', async () => {
    await expect(engine.load('demo', () => Promise.reject(new Error('no network')), 'cpu')).rejects.toThrow('no network');
    await expect.poll(() => alive()).toEqual([]);
  });

  test.each<[string, Fate]>([['is damaged', { failure: { kind: 'died', message: 'unreachable' } }], ['cannot be loaded', 'broken']])('fails where the program %s', async (_, fate) => {
    decideBy(({ name }) => (name === 'start' ? fate : undefined));
    await expect(engine.load('demo', none, 'cpu')).rejects.toMatchObject({ kind: 'died' });
  });
});

describe.each(['start', 'load', 'measure'])('during “%s”', (call) => {
  test('another model: the first one is dropped, and the second one answers', async () => {
    const { reached, release } = held(call);
    const first = engine.load('first', none, 'cpu').catch((error: { kind: string }) => error.kind);
    await reached;
    const second = engine.load('second', none, 'cpu');
    release();
    expect(await first).toBe('cancelled');
    expect((await second).name).toBe('second');
    expect(engine.info?.name).toBe('second');
    expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(1));
    expect(alive().map(({ number }) => number)).toEqual([1]);
  });

  test('the end: nothing is left', async () => {
    const { reached, release } = held(call);
    const loading = engine.load('demo', none, 'cpu').catch((error: { kind: string }) => error.kind);
    await reached;
    engine.dispose();
    release();
    expect(await loading).toBe('cancelled');
    await expect.poll(() => alive()).toEqual([]);
    expect(engine.info).toBeUndefined();
    await expect(engine.imageFeatures(PIXELS)).rejects.toMatchObject({ kind: 'usage' });
    expect(workers).toHaveLength(1);
  });
});

test('while a Worker is told what one before it knew, another model: it takes over all the same', async () => {
  await engine.load('first', none, 'cpu');
  await engine.setGround({ classes: [], features: new Float32Array(), labels: [] });
  const { reached, release } = held('setClasses', 1);
  workers[0]?.terminate();
  await reached;
  await engine.load('second', none, 'cpu');
  release();
  await expect.poll(() => workers[1]?.ended).toBe(true);
  expect(alive().map(({ number }) => number)).toEqual([2]);
  // It is the one that is watched: its death is seen, and another takes its place.
  let deaths = 0;
  engine.onDeath = () => deaths++;
  workers[2]?.terminate();
  await expect.poll(() => deaths).toBe(1);
  expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(3));
});

test('the end of a model: what was asked of it fails, and no Worker takes its place', async () => {
  await engine.load('demo', none, 'cpu');
  decideBy(({ name }) => (name === 'classify' ? 'silent' : undefined));
  const answer = engine.classify(PIXELS).catch((error: { kind: string }) => error.kind);
  await expect.poll(() => workers[0]?.calls).toContain('classify');
  engine.dispose();
  expect(await answer).toBe('cancelled');
  expect(workers).toHaveLength(1);
  expect(alive()).toEqual([]);
});

test('another model knows nothing of what the one before was told', async () => {
  await engine.load('first', none, 'cpu');
  await engine.setGround({ classes: [], features: new Float32Array(), labels: [] });
  await engine.choose('tip');
  await engine.load('second', none, 'cpu');
  expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(1));
  expect(workers[1]?.calls.filter((name) => name !== 'measure')).toEqual(['start', 'load', 'imageFeatures']);
  expect(alive()).toEqual([workers[1]]);
});
