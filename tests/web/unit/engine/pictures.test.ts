import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pictures, joined } from '../../../../www/engine/pictures.ts';
import type { Pixels } from '../../../../www/engine/protocol.ts';
import { alive, browser, decideBy, died, workers } from '../support/workers.ts';

let pictures: Pictures;
beforeEach(() => {
  browser();
  pictures = new Pictures();
});
afterEach(() => vi.unstubAllGlobals());

const open = (): Promise<unknown> => pictures.prepare(new Blob(), 'large.jpg', 'half');

test('a photo that takes a Worker with it is opened by another', async () => {
  decideBy(({ worker, name }) => (name !== 'prepare' ? undefined : worker.number === 0 ? died : { value: 'prepared' }));
  expect(await open()).toBe('prepared');
  expect(workers).toHaveLength(2);
});

test('a photo that takes two Workers with it is too large, and the next one is opened', async () => {
  decideBy(({ name }) => (name === 'prepare' ? died : undefined));
  await expect(open()).rejects.toMatchObject({ kind: 'image', message: 'large.jpg: this browser has not enough memory to open it; make it smaller' });
  expect(workers.filter(({ calls }) => calls.includes('prepare'))).toHaveLength(2);
  decideBy(({ name }) => (name === 'prepare' ? { value: 'prepared' } : undefined));
  expect(await open()).toBe('prepared');
});

test('a photo that cannot be opened costs no Worker', async () => {
  decideBy(({ name }) => (name === 'prepare' ? { failure: { kind: 'image', message: 'large.jpg: it is no picture' } } : undefined));
  await expect(open()).rejects.toMatchObject({ kind: 'image', message: 'large.jpg: it is no picture' });
  await expect(open()).rejects.toMatchObject({ kind: 'image' });
  expect(workers).toHaveLength(1);
  expect(alive()).toHaveLength(1);
});

test('a Worker whose memory has grown is let go once it has nothing to do', async () => {
  decideBy(({ name }) => (name === 'memory' ? { value: 300 << 20 } : name === 'prepare' ? { value: 'prepared' } : undefined));
  expect(await open()).toBe('prepared');
  await expect.poll(() => alive()).toEqual([]);
  await open();
  expect(workers).toHaveLength(2);
});

test('a Worker whose memory has grown finishes what it has been asked', async () => {
  let release = (): void => undefined;
  decideBy(({ name, count }) => {
    if (name === 'memory') return { value: 300 << 20 };
    // The size of its memory is asked for while the second photo waits.
    return name !== 'prepare' ? undefined : count === 1 ? { value: 'first' } : new Promise((resolve) => (release = () => resolve({ value: 'second' })));
  });
  const [first, second] = [open(), open()];
  expect(await first).toBe('first');
  const third = open();
  await expect.poll(() => workers[0]?.calls.filter((name) => name === 'prepare')).toHaveLength(2);
  release();
  expect(await second).toBe('second');
  await expect.poll(() => workers[0]?.calls).toContain('memory');
  await expect.poll(() => workers[0]?.calls.filter((name) => name === 'prepare')).toHaveLength(3);
  expect(workers[0]?.ended).toBe(false);
  release();
  expect(await third).toBe('second');
  expect(workers).toHaveLength(1);
  await expect.poll(() => alive()).toEqual([]);
});

test('a Worker that is small stays', async () => {
  decideBy(({ name }) => (name === 'memory' ? { value: 20 << 20 } : name === 'prepare' ? { value: 'prepared' } : undefined));
  await open();
  await expect.poll(() => workers[0]?.calls).toContain('memory');
  await open();
  expect(workers).toHaveLength(1);
});

test('pixels are joined end to end', () => {
  expect(joined([Uint8Array.of(1, 2), new Uint8Array(), Uint8Array.of(3)] as Pixels[])).toEqual(Uint8Array.of(1, 2, 3));
});
