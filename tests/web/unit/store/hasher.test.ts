import { afterEach, expect, test, vi } from 'vitest';
import type { Handle } from '../../../../www/engine/handle.ts';
import { hasher } from '../../../../www/store/hasher.ts';
import { randomBytes, sha256 } from '../support/bytes.ts';

afterEach(() => vi.unstubAllGlobals());

/** The core's hash: of one thing at a time, whose pieces come one after the other. */
function core(): { worker: () => Promise<Handle>; fail: { next: boolean } } {
  let pieces: Uint8Array[] = [];
  const fail = { next: false };
  const call = async (_: string, [piece]: [Uint8Array | undefined]): Promise<string | undefined> => {
    await Promise.resolve();
    if (fail.next) {
      fail.next = false;
      throw new Error('died');
    }
    if (piece) return void pieces.push(piece);
    const all = Uint8Array.from(pieces.flatMap((one) => [...one]));
    pieces = [];
    return sha256(all);
  };
  return { worker: async () => ({ call }) as unknown as Handle, fail };
}

test('the browser hashes where it can', async () => {
  const bytes = randomBytes(1000);
  expect(await hasher(() => Promise.reject(new Error('not needed'))).digest(bytes)).toBe(sha256(bytes));
});

test('the core hashes where the page is on no secure address, one thing at a time', async () => {
  vi.stubGlobal('crypto', {});
  const several = [1, 2, 3].map((seed) => randomBytes(50, seed));
  const { digest } = hasher(core().worker);
  expect(await Promise.all(several.map((bytes) => digest(bytes)))).toEqual(several.map(sha256));
});

test('a hash that fails does not stop the next', async () => {
  vi.stubGlobal('crypto', {});
  const { worker, fail } = core();
  const { digest } = hasher(worker);
  fail.next = true;
  const [first, second] = [digest(randomBytes(5, 1)), digest(randomBytes(5, 2))];
  await expect(first).rejects.toThrow('died');
  expect(await second).toBe(sha256(randomBytes(5, 2)));
});
