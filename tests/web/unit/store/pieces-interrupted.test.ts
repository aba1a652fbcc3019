import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LowshotError } from '../../../../www/engine/error.ts';
import { PIECE, type RemoteFile, fetchFile } from '../../../../www/store/pieces.ts';
import { MemoryStore } from '../../../../www/store/store.ts';
import { same } from '../support/bytes.ts';
import { FileServer } from '../support/file-server.ts';
import { CONTENTS, FROM_SECOND, LAST, asked, isMonotone, remote } from './pieces-support.ts';

let server: FileServer;
const SMALL = CONTENTS.slice(0, 5000);
const small = (): RemoteFile => ({ name: 'vocab.json', url: `${server.address}/vocab.json`, bytes: SMALL.length });
beforeEach(async () => (server = await FileServer.start({ '/model.safetensors': CONTENTS, '/vocab.json': SMALL })));
afterEach(() => server.stop());

describe('a connection that breaks', () => {
  test('in the middle of the second piece: what is missing from there on is asked for, and no more', async () => {
    const options = asked();
    server.misbehaviours.push({ cutAfter: PIECE + 100_000 });
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined, FROM_SECOND]);
    expect(isMonotone(options.progress)).toBe(true);
    expect(options.progress.at(-1)).toBe(CONTENTS.length);
  });

  test('twice, in different pieces', async () => {
    server.misbehaviours.push({ cutAfter: PIECE + 1 }, { cutAfter: PIECE + 1 });
    const options = asked();
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined, FROM_SECOND, LAST]);
    expect(isMonotone(options.progress)).toBe(true);
  });

  test('so often that it is given up: the next download goes on from the pieces that had come', async () => {
    const store = new MemoryStore();
    server.misbehaviours.push({ cutAfter: PIECE + 5 });
    server.always = { cutAfter: 10 };
    await expect(fetchFile(remote(server), asked(store))).rejects.toMatchObject({ kind: 'network' });
    expect(await store.keys('pieces')).toEqual(['ViT-B/32\nmodel.safetensors\n0']);
    server.always = {};
    server.ranges.length = 0;
    expect(same(await fetchFile(remote(server), asked(store)), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([FROM_SECOND]);
  });

  test('before the first byte of all answers: it is given up after five', async () => {
    server.always = { cutAfter: 0 };
    await expect(fetchFile(remote(server), asked())).rejects.toMatchObject({ kind: 'network' });
    expect(server.ranges).toHaveLength(5);
  });

  test('and progress in between: five more are tried from there', async () => {
    const cut = { cutAfter: 10 };
    server.misbehaviours.push(cut, cut, cut, cut, { cutAfter: PIECE + 10 }, cut, cut, cut, {});
    expect(same(await fetchFile(remote(server), asked()), CONTENTS)).toBe(true);
    expect(server.ranges).toHaveLength(9);
  });
});

describe('a connection over which nothing comes any more', () => {
  test('is given up after a while, and the download goes on over another', async () => {
    const options = asked(undefined, { stall: 200 });
    server.misbehaviours.push({ stallsAfter: PIECE + 3 });
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined, FROM_SECOND]);
    await expect.poll(() => server.abandoned).toBe(1);
  });
});

describe('a server that does not know ranges', () => {
  test('sends everything, of which the missing part is taken', async () => {
    server.misbehaviours.push({ cutAfter: PIECE + 50 });
    server.always = { ignoresRange: true };
    const options = asked();
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined, FROM_SECOND]);
    expect(isMonotone(options.progress)).toBe(true);
    expect(options.progress.at(-1)).toBe(CONTENTS.length);
  });

  test('fills a gap in the middle, and does not overwrite what is behind it', async () => {
    const store = new MemoryStore();
    await fetchFile(remote(server), asked(store));
    await store.delete('pieces', ['ViT-B/32\nmodel.safetensors\n1']);
    // What lies behind the gap is damaged this time; it must not be taken.
    server.always = { ignoresRange: true, corruptAt: 2 * PIECE + 10 };
    expect(same(await fetchFile(remote(server), asked(store)), CONTENTS)).toBe(true);
  });
});

describe('what the server says', () => {
  test.each([400, 401, 403, 404, 410, 416])('%i is not asked again', async (status) => {
    server.always = { status };
    const message = `model.safetensors cannot be fetched: the server says ${status}`;
    await expect(fetchFile(remote(server), asked())).rejects.toMatchObject({ kind: 'usage', message });
    expect(server.ranges).toHaveLength(1);
  });

  test.each([408, 429, 500, 502, 503])('%i is asked again', async (status) => {
    server.misbehaviours.push({ status }, { status });
    expect(same(await fetchFile(small(), asked()), SMALL)).toBe(true);
    expect(server.ranges).toHaveLength(3);
  });

  test('503 is not asked for ever', async () => {
    server.always = { status: 503 };
    await expect(fetchFile(remote(server), asked())).rejects.toMatchObject({ kind: 'network', message: expect.stringContaining('503') });
    expect(server.ranges).toHaveLength(5);
  });

  test('a file that has become shorter is an error that says where it ends', async () => {
    server.always = { shortened: PIECE + 7, ignoresRange: true };
    const message = `the download of model.safetensors was cut off at ${PIECE + 7} of ${CONTENTS.length} bytes`;
    await expect(fetchFile(remote(server), asked())).rejects.toMatchObject({ kind: 'network', message });
  });

  test('nothing, since there is no network', async () => {
    await server.stop();
    await expect(fetchFile(remote(server), asked())).rejects.toMatchObject({ kind: 'network', message: 'model.safetensors cannot be fetched: is there a network?' });
  });

  test('nothing of who asks: neither cookies nor the page’s address', async () => {
    const seen = vi.spyOn(globalThis, 'fetch');
    await fetchFile(small(), asked());
    expect(seen.mock.calls[0]?.[1]).toMatchObject({ credentials: 'omit', referrerPolicy: 'no-referrer' });
    seen.mockRestore();
  });
});

describe('whoever asked', () => {
  test('changes their mind while nothing comes: it ends at once, and what had come is kept', async () => {
    const abort = new AbortController();
    const options = asked(undefined, { signal: abort.signal });
    server.misbehaviours.push({ stallsAfter: PIECE + 3 });
    const fetching = fetchFile(remote(server), options);
    await expect.poll(() => options.store.keys('pieces')).toHaveLength(1);
    abort.abort();
    await expect(fetching).rejects.toMatchObject({ kind: 'cancelled' });
    await expect.poll(() => server.abandoned).toBe(1);
    expect(server.ranges).toHaveLength(1);
    expect(await options.store.keys('pieces')).toHaveLength(1);
  });

  test('has changed their mind before: nothing is asked', async () => {
    await expect(fetchFile(remote(server), asked(undefined, { signal: AbortSignal.abort() }))).rejects.toMatchObject({ kind: 'cancelled' });
    expect(server.ranges).toEqual([]);
  });

  test('changes their mind between two attempts: it ends at once', async () => {
    const abort = new AbortController();
    server.always = { status: 503 };
    const fetching = fetchFile(remote(server), asked(undefined, { signal: abort.signal, patience: 60_000 }));
    await expect.poll(() => server.ranges.length).toBe(1);
    abort.abort();
    await expect(fetching).rejects.toMatchObject({ kind: 'cancelled' });
    expect(server.ranges).toHaveLength(1);
  });
});

describe('a store', () => {
  test('that has no room: the file is whole all the same, and it is told', async () => {
    const store = new MemoryStore();
    store.put = () => Promise.reject(new LowshotError('storage', 'this browser gives the page no more room'));
    const options = asked(store);
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(options.unstored).toEqual(['storage', 'storage', 'storage']);
    expect(options.progress.at(-1)).toBe(CONTENTS.length);
  });

  test('that has no room is no reason to fetch anything twice after a cut', async () => {
    const store = new MemoryStore();
    store.put = () => Promise.reject(new LowshotError('storage', 'no room'));
    server.misbehaviours.push({ cutAfter: PIECE + 100 });
    expect(same(await fetchFile(remote(server), asked(store)), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined, FROM_SECOND]);
  });

  test('that cannot be read, nor the blobs in it: everything is fetched', async () => {
    const store = new MemoryStore();
    await fetchFile(remote(server), asked(store));
    const get = store.get.bind(store);
    store.get = async (table, key) => {
      if (key.endsWith('0')) throw new LowshotError('storage', 'the browser’s storage fails');
      const record = await get(table, key);
      return record && { ...record, bytes: { arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')) } };
    };
    expect(same(await fetchFile(remote(server), asked(store)), CONTENTS)).toBe(true);
    expect(server.ranges).toHaveLength(2);
  });
});
