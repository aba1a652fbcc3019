import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Engine } from '../../../../www/engine/engine.ts';
import { type FakeWorker, alive, browser, decideBy, died, workers } from '../support/workers.ts';

const none = async (): Promise<ReadonlyMap<string, Uint8Array>> => new Map();
/** So many pictures of one pixel, the n-th of which is described by n. */
const pictures = (count: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length: 3 * count }, (_, at) => Math.floor(at / 3));
const EXPECTED = (count: number): Float32Array => Float32Array.from({ length: count }, (_, at) => at);
const seen = ({ calls, arguments: given }: FakeWorker): number[] => calls.flatMap((name, at) => (name === 'imageFeatures' ? [((given[at] as Uint8Array[])[0]?.length ?? 0) / 3] : []));

type Asked = Parameters<Parameters<typeof decideBy>[0]>[0];
function describing({ name, given }: Asked): { value: unknown } | undefined {
  if (name === 'load') return { value: { sha256: 'f00d', parameters: 1e6, imageSize: 1, embedding: 1, device: given[2], precision: 'f32', weights: given[4] } };
  if (name !== 'imageFeatures') return undefined;
  return { value: Float32Array.from((given[0] as Uint8Array).filter((_, at) => at % 3 === 0)) };
}

let engine: Engine;
beforeEach(() => {
  browser({ by: describing });
  engine = new Engine();
});
afterEach(() => {
  engine.dispose();
  vi.unstubAllGlobals();
});

async function loaded(cores: number): Promise<void> {
  Object.assign(navigator, { hardwareConcurrency: cores });
  await engine.load('demo', none, 'cpu', 'f32', 'int8');
}

/** What is asked after the first call and its helpers have settled. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 30));
}

/** On so many cores, and after so many pictures that helpers have been asked for. */
async function helped(cores: number): Promise<void> {
  await loaded(cores);
  await engine.imageFeatures(pictures(64));
  await settled();
}

test.each([[1, 1], [2, 2], [3, 2], [4, 2], [7, 3], [8, 4], [64, 4]])('on %d cores %d Workers see, after there were many pictures', async (cores, expected) => {
  await loaded(cores);
  expect(await engine.imageFeatures(pictures(8))).toEqual(EXPECTED(8));
  await settled();
  expect(alive()).toHaveLength(1);
  expect(await engine.imageFeatures(pictures(60))).toEqual(EXPECTED(60));
  await settled();
  expect(alive()).toHaveLength(expected);
  expect(await engine.imageFeatures(pictures(10))).toEqual(EXPECTED(10));
  const shares = workers.map((worker) => seen(worker).at(-1) ?? 0);
  expect(shares.reduce((sum, share) => sum + share)).toBe(10);
  expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
  // All have the same model in the same form.
  for (const { arguments: given, calls } of workers) expect((given[calls.indexOf('load')] as unknown[]).slice(2)).toEqual(['cpu', 'f32', 'int8']);
});

test('one picture goes to one Worker, and none to none but the first', async () => {
  await helped(8);
  expect(await engine.imageFeatures(pictures(1))).toEqual(EXPECTED(1));
  expect(await engine.imageFeatures(pictures(0))).toEqual(EXPECTED(0));
  expect(workers.slice(1).flatMap(seen)).toEqual([]);
});

test('what a helper that dies was given is seen by the first, and it is not asked again', async () => {
  await helped(4);
  decideBy((asked) => (asked.worker.number === 1 && asked.name === 'imageFeatures' ? died : describing(asked)));
  expect(await engine.imageFeatures(pictures(9))).toEqual(EXPECTED(9));
  expect(alive()).toHaveLength(1);
  expect(await engine.imageFeatures(pictures(9))).toEqual(EXPECTED(9));
  expect(workers).toHaveLength(2);
});

test('a helper that does not start is done without', async () => {
  await loaded(4);
  decideBy((asked) => (asked.worker.number > 0 && asked.name === 'load' ? { failure: { kind: 'failed', message: 'no memory' } } : describing(asked)));
  await engine.imageFeatures(pictures(64));
  await settled();
  expect(await engine.imageFeatures(pictures(9))).toEqual(EXPECTED(9));
  expect(alive()).toHaveLength(1);
});

test('a large model has no helpers', async () => {
  decideBy((asked) => {
    const answer = describing(asked);
    return asked.name === 'load' ? { value: { ...(answer?.value as object), parameters: 150e6 } } : answer;
  });
  await helped(8);
  expect(workers).toHaveLength(1);
});

test('the first Worker dies among helpers: another takes its place, and all is seen', async () => {
  await helped(4);
  decideBy((asked) => (asked.worker.number === 0 && asked.name === 'imageFeatures' ? died : describing(asked)));
  expect(await engine.imageFeatures(pictures(9))).toEqual(EXPECTED(9));
  expect(alive()).toHaveLength(2);
});

test('with another model, or none, its helpers end, also those that are on their way', async () => {
  await helped(4);
  expect(alive()).toHaveLength(2);
  await engine.load('other', none, 'cpu');
  expect(alive()).toHaveLength(1);
  await engine.imageFeatures(pictures(64));
  engine.dispose();
  await settled();
  expect(alive()).toEqual([]);
});
