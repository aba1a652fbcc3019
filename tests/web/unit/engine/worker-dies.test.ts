import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Engine, type Ground, fill } from '../../../../www/engine/engine.ts';
import type { Failure, Pixels } from '../../../../www/engine/protocol.ts';
import { type Fate, alive, browser, decideBy, died, keptOf, workers } from '../support/workers.ts';

const GROUND: Ground = {
  classes: [{ name: 'cat', prompts: ['a cat'] }, { name: 'dog', prompts: ['a dog'] }],
  features: Float32Array.of(1, 0, 0, 1),
  labels: [0, 1],
};
const PIXELS = new Uint8Array(12) as Pixels;

let engine: Engine;
let deaths: Failure[];
let asked: number;
beforeEach(() => {
  browser();
  engine = new Engine();
  deaths = [];
  asked = 0;
  engine.onDeath = (failure) => deaths.push(failure);
});
afterEach(() => vi.unstubAllGlobals());

const files = async (): Promise<ReadonlyMap<string, Uint8Array>> => new Map([['config.json', Uint8Array.of(++asked)]]);

/** A model that was told everything that it can be told. */
async function told(): Promise<void> {
  await engine.load('demo', files, 'cpu');
  await engine.setGround(GROUND);
  await engine.restore('what was learnt', keptOf('tip'));
  await engine.restore('what was learnt', keptOf('meta'));
  await engine.choose('meta');
}

/** The first Workers die of this call. */
function dieOf(call: string, times: number, fate: Fate = died): void {
  const before = workers.length;
  decideBy(({ worker, name }) => (name === call && worker.number < before - 1 + times ? fate : undefined));
}

describe('a Worker that dies in the middle of a call', () => {
  test.each<[string, Fate]>([
    ['and says so', died],
    ['killed by the browser, without a word', 'killed'],
    ['with an error', 'broken'],
  ])('%s is replaced by one that answers', async (_, fate) => {
    await told();
    dieOf('imageFeatures', 1, fate);
    expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(1));
    expect(deaths).toHaveLength(1);
    expect(deaths[0]?.kind).toBe('died');
    expect(workers).toHaveLength(2);
    expect(alive().at(-1)?.number).toBe(1);
  });

  test('is replaced by one that is told everything again, in order', async () => {
    await told();
    dieOf('imageFeatures', 1);
    await engine.imageFeatures(PIXELS);
    const [, other] = workers;
    expect(other?.calls).toEqual(['start', 'load', 'setClasses', 'setExamples', 'restore', 'restore', 'choose', 'imageFeatures']);
    const [start, load, classes, examples, tip, meta, chosen, features] = other?.arguments ?? [];
    expect(start).toEqual([expect.stringMatching(/^(cpu|relaxed)$/), expect.any(WebAssembly.Module)]);
    // Its files were asked for anew, since the first Worker may have kept the bytes.
    expect(load).toEqual(['demo', new Map([['config.json', Uint8Array.of(2)]]), 'cpu', 'f32', 'auto']);
    expect(classes).toEqual([GROUND.classes]);
    expect(examples).toEqual([GROUND.features, Uint32Array.of(0, 1)]);
    expect([tip, meta]).toEqual([['what was learnt', keptOf('tip')], ['what was learnt', keptOf('meta')]]);
    expect(chosen).toEqual(['meta']);
    expect(features).toEqual([PIXELS]);
  });

  test('is replaced before anybody asks again', async () => {
    await told();
    dieOf('classify', 1);
    await engine.classify(PIXELS);
    decideBy(({ worker, name }) => (worker.number === 1 && name === 'map' ? died : undefined));
    void engine.map().catch(() => undefined);
    await expect.poll(() => workers[2]?.calls).toContain('choose');
  });

  test('is replaced by one that is not told what is not known', async () => {
    await engine.load('demo', files, 'cpu');
    dieOf('imageFeatures', 1);
    await engine.imageFeatures(PIXELS);
    expect(workers[1]?.calls).toEqual(['start', 'load', 'imageFeatures']);
  });

  test('takes nothing with it that others had asked', async () => {
    await told();
    dieOf('imageFeatures', 1);
    const all = await Promise.all([engine.imageFeatures(PIXELS), engine.classify(PIXELS), engine.measure(), engine.imageFeatures(PIXELS)]);
    expect(all).toEqual([Float32Array.of(1), [], 10, Float32Array.of(1)]);
    expect(workers).toHaveLength(2);
  });

  test('takes others with it: three more are tried, and then no more', async () => {
    await told();
    dieOf('imageFeatures', 3);
    expect(await engine.imageFeatures(PIXELS)).toEqual(Float32Array.of(3));
    const before = workers.length;
    dieOf('imageFeatures', 100);
    await expect(engine.imageFeatures(PIXELS)).rejects.toMatchObject({ kind: 'died', message: 'the module has failed' });
    const tried = workers.slice(before - 1).filter(({ calls }) => calls.at(-1) === 'imageFeatures');
    expect(tried).toHaveLength(4);
    // What did not cause it works.
    expect(await engine.classify(PIXELS)).toEqual([]);
  });

  test('while it is told its classes is replaced as well', async () => {
    await engine.load('demo', files, 'cpu');
    dieOf('setExamples', 2);
    await engine.setGround(GROUND);
    expect(workers.at(-1)?.calls).toContain('choose');
    expect(alive().at(-1)).toBe(workers.at(-1));
  });
});

describe('what fails without a death', () => {
  test('is not tried again', async () => {
    await told();
    decideBy(({ name }) => (name === 'classify' ? { failure: { kind: 'usage', message: '3 bytes are no picture' } } : undefined));
    await expect(engine.classify(PIXELS)).rejects.toMatchObject({ kind: 'usage', message: '3 bytes are no picture' });
    expect(workers[0]?.calls.filter((name) => name === 'classify')).toHaveLength(1);
    expect(deaths).toEqual([]);
  });

  test('when another Worker is told everything leaves none behind', async () => {
    await told();
    decideBy(({ worker, name }) => {
      if (worker.number === 0 && name === 'classify') return died;
      return name === 'restore' ? { failure: { kind: 'adapter', message: 'it is damaged' } } : undefined;
    });
    await expect(engine.classify(PIXELS)).rejects.toMatchObject({ kind: 'adapter' });
    await expect.poll(() => alive().filter(({ number }) => number > 0)).toEqual([]);
  });

  test('is a choice that stays what it was', async () => {
    await told();
    decideBy(({ name, given }) => {
      if (name === 'choose' && given[0] === 'tip') return { failure: { kind: 'usage', message: 'it has not been learnt' } };
      return name === 'imageFeatures' ? died : undefined;
    });
    await expect(engine.choose('tip')).rejects.toMatchObject({ kind: 'usage' });
    await engine.imageFeatures(PIXELS).catch(() => undefined);
    expect(workers[1]?.arguments[workers[1].calls.indexOf('choose')]).toEqual(['meta']);
  });
});

describe('what another Worker is told', () => {
  const afterDeath = async (): Promise<[string, readonly unknown[]][]> => {
    const before = workers.length;
    dieOf('imageFeatures', 1);
    await engine.imageFeatures(PIXELS);
    const { calls, arguments: given } = workers[before] ?? { calls: [], arguments: [] };
    return calls.map((name, at) => [name, given[at] ?? []]);
  };

  test('is nothing of methods that were of other classes', async () => {
    await told();
    await engine.setGround({ ...GROUND, classes: [...GROUND.classes].reverse() });
    const calls = await afterDeath();
    expect(calls.map(([name]) => name)).toEqual(['start', 'load', 'setClasses', 'setExamples', 'choose', 'imageFeatures']);
    expect(calls.find(([name]) => name === 'choose')?.[1]).toEqual(['zero-shot']);
  });

  test('is an imported adapter, with its classes and without photos', async () => {
    await told();
    const { kept, ...opened } = await engine.importAdapter('cats.safetensors', Uint8Array.of(1));
    expect(opened).toEqual({ method: 'tip', classes: ['grey_cat', 'dog'], templates: ['a {}.'] });
    expect(kept).toEqual(keptOf('tip'));
    const calls = await afterDeath();
    expect(calls.map(([name]) => name)).toEqual(['start', 'load', 'setClasses', 'restore', 'choose', 'imageFeatures']);
    expect(calls[2]?.[1]).toEqual([[{ name: 'grey_cat', prompts: ['a grey cat.'] }, { name: 'dog', prompts: ['a dog.'] }]]);
    expect(calls[4]?.[1]).toEqual(['tip']);
  });
});

test('without a model there is nothing to replace', async () => {
  await expect(engine.imageFeatures(PIXELS)).rejects.toMatchObject({ kind: 'usage', message: 'no model is loaded: load one first' });
  expect(workers).toEqual([]);
});

test('a sentence takes a class’s name as it is', () => {
  expect(fill('a photo of a {}.', 'grey_cat')).toBe('a photo of a grey cat.');
  expect(fill('{}', '$& $1')).toBe('$& $1');
});
