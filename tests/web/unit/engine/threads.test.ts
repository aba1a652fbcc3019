import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Engine } from '../../../../www/engine/engine.ts';
import type { Failure } from '../../../../www/engine/protocol.ts';
import { alive, browser, decideBy, died, workers } from '../support/workers.ts';

const none = async (): Promise<ReadonlyMap<string, Uint8Array>> => new Map();

let engine: Engine;
let deaths: Failure[];
/** A page on so many cores, which may share memory or not. */
async function page({ cores = 4, isolated = true, relaxed = true } = {}): Promise<void> {
  vi.resetModules();
  browser();
  Object.assign(navigator, { hardwareConcurrency: cores });
  vi.stubGlobal('crossOriginIsolated', isolated);
  vi.spyOn(WebAssembly, 'validate').mockReturnValue(relaxed);
  const { Engine } = await import('../../../../www/engine/engine.ts');
  engine = new Engine();
  engine.onDeath = (failure) => deaths.push(failure);
}
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

beforeEach(() => void (deaths = []));
afterEach(() => {
  engine.dispose();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test.each([[1, 1], [2, 2], [3, 2], [4, 2], [8, 4], [64, 8]])('on %d cores %d Workers have one memory', async (cores, expected) => {
  await page({ cores });
  await engine.load('demo', none, 'cpu');
  await settled();
  const [first, ...helpers] = alive();
  expect(first?.arguments[0]).toEqual(['threads', expect.any(WebAssembly.Module)]);
  expect(first?.calls.slice(0, 3)).toEqual(['start', 'load', 'measure']);
  expect(helpers).toHaveLength(expected - 1);
  for (const { calls, arguments: given } of helpers) {
    expect(calls).toEqual(['start', 'help']);
    expect(given[0]).toEqual(['threads', expect.any(WebAssembly.Module), { of: 0 }]);
  }
});

test.each([[{ isolated: false }, 'relaxed'], [{ relaxed: false }, 'cpu']])('with %o one Worker computes alone, by the module %s', async (how, kind) => {
  await page(how);
  await engine.load('demo', none, 'cpu');
  await settled();
  expect(workers.map(({ arguments: given }) => given[0]?.[0])).toEqual([kind]);
});

test('many pictures need no more Workers where one memory is shared', async () => {
  await page();
  await engine.load('demo', none, 'cpu');
  await engine.imageFeatures(new Uint8Array(3 * 200));
  await settled();
  expect(workers.map(({ calls }) => calls.includes('load'))).toEqual([true, false]);
});

test('a helper that dies takes the others along, and all are replaced', async () => {
  await page({ cores: 8 });
  // What it has begun nobody ends, so the first would wait for ever.
  let help = (): void => undefined;
  decideBy(({ worker, name }) => (worker.number === 2 && name === 'help' ? new Promise((resolve) => (help = () => resolve(died))) : worker.number === 0 && name === 'imageFeatures' ? 'silent' : undefined));
  await engine.load('demo', none, 'cpu');
  await settled();
  expect(alive()).toHaveLength(4);
  const features = engine.imageFeatures(new Uint8Array(3));
  await settled();
  help();
  expect(await features).toEqual(Float32Array.of(4));
  await settled();
  expect(alive().map(({ number }) => number)).toEqual([4, 5, 6, 7]);
  expect(deaths).toEqual([{ kind: 'died', message: 'the module has failed' }]);
});

test('a helper that cannot be started is done without', async () => {
  await page({ cores: 8 });
  decideBy(({ worker }) => (worker.number === 1 ? 'broken' : undefined));
  await engine.load('demo', none, 'cpu');
  await settled();
  expect(alive().map(({ number }) => number)).toEqual([0, 2, 3]);
  expect(deaths).toEqual([]);
});

test('where there is no room for such a memory, one Worker computes alone', async () => {
  await page();
  decideBy(({ name, given }) => (name === 'start' && given[0] === 'threads' ? died : undefined));
  await engine.load('demo', none, 'cpu');
  expect(await engine.imageFeatures(new Uint8Array(3))).toEqual(Float32Array.of(1));
  await settled();
  expect(workers.map(({ arguments: given }) => given[0]?.[0])).toEqual(['threads', 'relaxed']);
  expect(deaths).toEqual([]);
});

test('they end with the first', async () => {
  await page({ cores: 8 });
  await engine.load('demo', none, 'cpu');
  await settled();
  engine.dispose();
  await settled();
  expect(alive()).toEqual([]);
  expect(deaths).toEqual([]);
});
