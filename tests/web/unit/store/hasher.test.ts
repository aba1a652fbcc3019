import { afterEach, expect, test, vi } from 'vitest';
import { hasher } from '../../../../www/store/hasher.ts';
import { randomBytes, sha256 } from '../support/bytes.ts';

afterEach(() => vi.unstubAllGlobals());

test('the browser hashes where it can', async () => {
  const bytes = randomBytes(1000);
  expect(await hasher(() => Promise.reject(new Error('not needed'))).digest(bytes)).toBe(sha256(bytes));
});

test('a Worker hashes where the page is on no secure address, and the bytes stay here', async () => {
  vi.stubGlobal('crypto', {});
  const bytes = randomBytes(50);
  const taken: Uint8Array[] = [];
  const { digest } = hasher(async (given) => {
    taken.push(given);
    return { bytes: given, sha256: sha256(given) };
  });
  expect(await digest(bytes)).toBe(sha256(bytes));
  expect(taken[0]?.buffer).not.toBe(bytes.buffer);
});

test('many bytes go to a Worker in any case, and come back', async () => {
  const bytes = randomBytes(100);
  const { whole } = hasher(async (given) => ({ bytes: given, sha256: 'of the Worker' }));
  expect(await whole(bytes)).toEqual({ bytes, sha256: 'of the Worker' });
});
