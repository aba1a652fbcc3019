import { expect, test } from 'vitest';
import { ahead, batches } from '../../../../www/engine/ahead.ts';

const numbers = Array.from({ length: 10 }, (_, at) => at);

/** Makes what it is told to, when it is told to, and knows how many are being made. */
function maker(): { make: (item: number) => Promise<number>; begun: number[]; finish: () => void; most: () => number } {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  let [busy, most] = [0, 0];
  const make = async (item: number): Promise<number> => {
    begun.push(item);
    most = Math.max(most, ++busy);
    await new Promise<void>((resolve) => ends.push(resolve));
    busy--;
    return 10 * item;
  };
  return { make, begun, finish: () => ends.shift()?.(), most: () => most };
}
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

test('one is made at a time, in order, and so many before they are asked for', async () => {
  const { make, begun, finish, most } = maker();
  const all = ahead(numbers, 3, make);
  const first = all.next();
  for (let made = 0; made < 9; made++) {
    await settled();
    finish();
  }
  await settled();
  expect((await first).value).toBe(0);
  // The first was taken, and three more are there.
  expect(begun).toEqual([0, 1, 2, 3]);
  expect((await all.next()).value).toBe(10);
  await settled();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  expect(most()).toBe(1);
});

test.each([1, 3, 10, 50])('with %d ahead all are given once', async (most) => {
  const found: number[] = [];
  for await (const one of ahead(numbers, most, async (item) => 10 * item)) found.push(one);
  expect(found).toEqual(numbers.map((item) => 10 * item));
  for await (const _ of ahead([], most, async () => 1)) expect.unreachable();
});

test('who stops asking has no more made', async () => {
  const begun: number[] = [];
  for await (const one of ahead(numbers, 2, async (item) => begun.push(item))) if (one === 3) break;
  await settled();
  expect(begun.length).toBeLessThanOrEqual(5);
});

test('what cannot be made fails when it is asked for, and not before', async () => {
  const make = async (item: number): Promise<number> => {
    if (item >= 2) throw new Error(`${item} cannot be made`);
    return item;
  };
  const all = ahead(numbers, 5, make);
  expect((await all.next()).value).toBe(0);
  await settled();
  expect((await all.next()).value).toBe(1);
  await expect(all.next()).rejects.toThrow('2 cannot be made');
  expect(await all.next()).toEqual({ done: true, value: undefined });
});

test('batches are of one size, and the last of what is left', async () => {
  const sizes: number[] = [];
  const found: number[] = [];
  for await (const batch of batches(ahead(numbers, 2, async (item) => item), 4)) {
    sizes.push(batch.length);
    found.push(...batch);
  }
  expect(sizes).toEqual([4, 4, 2]);
  expect(found).toEqual(numbers);
});
