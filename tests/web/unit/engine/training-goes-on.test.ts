import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Engine, type TrainEvent, type TrainOptions } from '../../../../www/engine/engine.ts';
import type { Pixels } from '../../../../www/engine/protocol.ts';
import { type Decide, type Fate, STEPS, alive, browser, decideBy, died, keptOf, workers } from '../support/workers.ts';

let engine: Engine;
beforeEach(async () => {
  browser();
  // The clock goes on only where a test lets it, so that checkpoints come when they are expected.
  vi.useFakeTimers({ toFake: ['performance'] });
  engine = new Engine();
  await engine.load('demo', async () => new Map(), 'cpu');
  await engine.setGround({ classes: [], features: Float32Array.of(1, 2), labels: [0] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pictures = async (): Promise<Pixels> => new Uint8Array(3) as Pixels;

async function train(options: Partial<TrainOptions> = {}, seen: TrainEvent[] = []): Promise<TrainEvent[]> {
  for await (const event of engine.train({ rung: { method: 'tip' }, pictures, templates: ['{}'], ...options })) seen.push(event);
  return seen;
}

/** Every step takes three seconds, so that there is a checkpoint after each; and more may happen. */
const slowly = (by: Decide = () => undefined): void =>
  decideBy((call) => {
    if (call.name === 'next') vi.advanceTimersByTime(3000);
    return by(call);
  });
const steps = (events: readonly TrainEvent[]): number[] => events.flatMap((event) => (event.kind === 'progress' ? [event.step] : []));
const begun = (): unknown[] => workers.map(({ calls, arguments: given }) => given[calls.indexOf('begin')]?.[1]);
const ALL = Array.from({ length: STEPS }, (_, at) => at + 1);

describe('training', () => {
  test('does every step once, and ends with what was learnt', async () => {
    const events = await train();
    expect(steps(events)).toEqual(ALL);
    expect(events.at(-1)).toMatchObject({ kind: 'done', result: { method: 'tip' }, kept: keptOf('tip') });
    expect(workers[0]?.calls.at(-1)).toBe('end');
  });

  test('brings each step the pictures that the one before wanted', async () => {
    const wanted: number[] = [];
    await train({
      pictures: async ([first]) => {
        wanted.push(first?.example ?? -1);
        return Uint8Array.of(first?.example ?? 0) as Pixels;
      },
    });
    expect(wanted).toEqual(ALL.slice(0, -1));
    const brought = workers[0]?.arguments.filter((_, at) => workers[0]?.calls[at] === 'next').map(([, pixels]) => (pixels as Pixels | undefined)?.[0]);
    expect(brought).toEqual([undefined, ...ALL.slice(0, -1)]);
  });

  test('gives checkpoints two seconds apart, and none sooner', async () => {
    expect((await train()).some(({ kind }) => kind === 'checkpoint')).toBe(false);
    let count = 0;
    decideBy(({ name }) => void (name === 'next' && ++count && vi.advanceTimersByTime(1001)));
    const given = (await train()).flatMap((event) => (event.kind === 'checkpoint' ? [event.bytes[0]] : []));
    expect(given).toEqual([2, 4, 6, 8]);
  });

  test('begins at a checkpoint that is brought', async () => {
    expect(steps(await train({ checkpoint: Uint8Array.of(7) }))).toEqual([8, 9, 10]);
  });

  test('begins anew where the checkpoint is of something else', async () => {
    decideBy(({ name, given }) => (name === 'begin' && given[1] ? { failure: { kind: 'adapter', message: 'it is of other classes' } } : undefined));
    expect(steps(await train({ checkpoint: Uint8Array.of(7) }))).toEqual(ALL);
  });

  test('fails where it cannot begin', async () => {
    decideBy(({ name }) => (name === 'begin' ? { failure: { kind: 'adapter', message: 'no' } } : undefined));
    await expect(train()).rejects.toMatchObject({ kind: 'adapter' });
    expect(workers).toHaveLength(1);
  });

  test('can be stopped, which lets go of it and leaves the Worker alive', async () => {
    const abort = new AbortController();
    const events: TrainEvent[] = [];
    decideBy(({ name, count }) => void (name === 'next' && count === 3 && abort.abort()));
    await expect(train({ signal: abort.signal }, events)).rejects.toMatchObject({ kind: 'cancelled' });
    expect(steps(events)).toEqual([1, 2, 3]);
    expect(workers[0]?.calls.at(-1)).toBe('end');
    expect(alive()).toHaveLength(1);
  });

  test('is let go when nobody wants its next event', async () => {
    for await (const event of engine.train({ rung: { method: 'tip' }, pictures, templates: [] })) if (event.kind === 'progress' && event.step === 2) break;
    expect(workers[0]?.calls.filter((name) => name === 'next')).toHaveLength(2);
    expect(workers[0]?.calls.at(-1)).toBe('end');
  });

  test('fails where a picture cannot be had', async () => {
    await expect(train({ pictures: () => Promise.reject(new Error('the photo is gone')) })).rejects.toThrow('the photo is gone');
    expect(workers[0]?.calls.at(-1)).toBe('end');
  });
});

describe('training in a Worker that dies', () => {
  test.each<[string, Fate]>([['and says so', died], ['killed by the browser', 'killed']])('%s goes on from its last checkpoint', async (_, fate) => {
    slowly(({ worker, name, count }) => (worker.number === 0 && name === 'next' && count === 6 ? fate : undefined));
    const events = await train();
    expect(steps(events)).toEqual(ALL);
    expect(begun()).toEqual([undefined, Uint8Array.of(5)]);
    expect(workers[1]?.calls.slice(0, 6)).toEqual(['start', 'load', 'setClasses', 'setExamples', 'choose', 'begin']);
    expect(events.at(-1)?.kind).toBe('done');
  });

  test('before its first checkpoint begins anew', async () => {
    decideBy(({ worker, name, count }) => (worker.number === 0 && name === 'next' && count === 3 ? died : undefined));
    expect(steps(await train())).toEqual([1, 2, ...ALL]);
    expect(begun()).toEqual([undefined, undefined]);
  });

  test('goes on from the checkpoint that was brought, where it has none of its own', async () => {
    decideBy(({ worker, name, count }) => (worker.number === 0 && name === 'next' && count === 2 ? died : undefined));
    expect(steps(await train({ checkpoint: Uint8Array.of(4) }))).toEqual([5, 5, 6, 7, 8, 9, 10]);
  });

  test.each(['begin', 'checkpoint', 'kept'])('of “%s” goes on as well', async (call) => {
    slowly(({ worker, name }) => (worker.number === 0 && name === call ? died : undefined));
    const events = await train();
    expect(events.at(-1)).toMatchObject({ kind: 'done', kept: keptOf('tip') });
    expect(workers).toHaveLength(2);
  });

  test('three times goes on, and the fourth time fails', async () => {
    slowly(({ worker, name, count }) => (worker.number < 3 && name === 'next' && count === 3 ? died : undefined));
    const events: TrainEvent[] = [];
    await train({}, events);
    expect(steps(events)).toEqual(ALL);
    expect(begun()).toEqual([undefined, Uint8Array.of(2), Uint8Array.of(4), Uint8Array.of(6)]);
    slowly(({ name, count }) => (name === 'next' && count >= 1 ? died : undefined));
    const before = workers.length;
    await expect(train()).rejects.toMatchObject({ kind: 'died' });
    expect(workers.slice(before - 1).filter(({ calls }) => calls.includes('next'))).toHaveLength(4);
  });

  test('more often goes on too, as long as there is a checkpoint in between', async () => {
    slowly(({ worker, name, count }) => (worker.number < 4 && name === 'next' && count === 3 ? died : undefined));
    expect(steps(await train())).toEqual(ALL);
    expect(begun()).toEqual([undefined, ...[2, 4, 6, 8].map((step) => Uint8Array.of(step))]);
  });

  test('is what the next Worker is told, once it is done', async () => {
    await train();
    await engine.choose('tip');
    decideBy(({ worker, name }) => (worker.number === 0 && name === 'classify' ? died : undefined));
    await engine.classify(new Uint8Array() as Pixels);
    expect(workers[1]?.calls).toEqual(['start', 'load', 'setClasses', 'setExamples', 'restore', 'choose', 'classify']);
    expect(workers[1]?.arguments[4]).toEqual(['what was learnt', keptOf('tip')]);
  });
});
