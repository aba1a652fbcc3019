import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PIECE, fetchFile, fetchFiles, storeFile } from '../../../../www/store/pieces.ts';
import { MemoryStore, type PieceRecord, openStore } from '../../../../www/store/store.ts';
import { randomBytes, same } from '../support/bytes.ts';
import { FileServer } from '../support/file-server.ts';
import { CONTENTS, LAST, SECOND, SHA256, asked, isMonotone, remote } from './pieces-support.ts';

let server: FileServer;
beforeEach(async () => (server = await FileServer.start({ '/model.safetensors': CONTENTS, '/vocab.json': CONTENTS.slice(0, 5000) })));
afterEach(() => server.stop());

/** Replaces what lies in the store, as a disk does that forgets bits. */
async function spoil(store: MemoryStore, index: number, change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>): Promise<void> {
  const key = `ViT-B/32\nmodel.safetensors\n${index}`;
  const record = (await store.get('pieces', key)) as PieceRecord;
  const bytes = change(new Uint8Array(await record.bytes.arrayBuffer()));
  await store.put('pieces', [{ ...record, bytes: new Blob([bytes]) }]);
}

describe('a file that is nowhere yet', () => {
  test('comes whole by one request without a range, and is stored in pieces', async () => {
    const options = asked();
    const whole = await fetchFile(remote(server), options);
    expect(same(whole, CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined]);
    expect(await options.store.keys('pieces', 'ViT-B/32')).toEqual([0, 1, 2].map((index) => `ViT-B/32\nmodel.safetensors\n${index}`));
  });

  test('tells its progress, which only grows and ends at the total', async () => {
    const options = asked();
    await fetchFile(remote(server), options);
    expect(options.progress[0]).toBe(0);
    expect(options.progress.length).toBeGreaterThan(3);
    expect(isMonotone(options.progress)).toBe(true);
    expect(options.progress.at(-1)).toBe(CONTENTS.length);
  });

  test('comes from a published length that fits pieces exactly', async () => {
    const bytes = CONTENTS.slice(0, PIECE);
    const other = await FileServer.start({ '/exact': bytes });
    const options = asked();
    const whole = await fetchFile({ name: 'exact', url: `${other.address}/exact`, bytes: PIECE }, options);
    await other.stop();
    expect(same(whole, bytes)).toBe(true);
    expect(await options.store.keys('pieces')).toHaveLength(1);
  });
});

describe('pieces that are stored', () => {
  test('make a second download need no request', async () => {
    const { store } = await openStore();
    expect(store.mode).toBe('persistent');
    await fetchFile(remote(server), asked(store));
    const options = asked(store);
    const whole = await fetchFile(remote(server), options);
    expect(same(whole, CONTENTS)).toBe(true);
    expect(server.ranges).toHaveLength(1);
    expect(options.progress).toEqual([CONTENTS.length]);
  });

  test('are of one model only', async () => {
    const store = new MemoryStore();
    await fetchFile(remote(server), asked(store));
    await fetchFile(remote(server), asked(store, { model: 'ViT-B/16' }));
    expect(server.ranges).toHaveLength(2);
  });

  test.each([
    ['has another bit', (bytes: Uint8Array<ArrayBuffer>) => bytes.with(77, (bytes[77] ?? 0) ^ 1)],
    ['has lost its end', (bytes: Uint8Array<ArrayBuffer>) => bytes.slice(0, 1000)],
    ['is empty', () => new Uint8Array()],
  ])('are fetched again alone where one %s', async (_, change) => {
    const store = new MemoryStore();
    await fetchFile(remote(server), asked(store));
    await spoil(store, 1, change);
    const options = asked(store);
    const whole = await fetchFile(remote(server), options);
    expect(same(whole, CONTENTS)).toBe(true);
    expect(server.ranges.slice(1)).toEqual([SECOND]);
    expect(options.progress[0]).toBe(CONTENTS.length - PIECE);
    expect(options.progress.at(-1)).toBe(CONTENTS.length);
    // It is sound again.
    await fetchFile(remote(server), asked(store));
    expect(server.ranges).toHaveLength(2);
  });

  test('are fetched again by a request for each gap', async () => {
    const store = new MemoryStore();
    await fetchFile(remote(server), asked(store));
    await store.delete('pieces', ['ViT-B/32\nmodel.safetensors\n0', 'ViT-B/32\nmodel.safetensors\n2']);
    expect(same(await fetchFile(remote(server), asked(store)), CONTENTS)).toBe(true);
    expect(server.ranges.slice(1)).toEqual([`bytes=0-${PIECE - 1}`, LAST]);
  });

  test('of a file that was given are used without a network', async () => {
    const options = asked();
    await storeFile('model.safetensors', new Blob([CONTENTS]), options);
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([]);
  });
});

describe('a file that is not what is published', () => {
  test('is fetched once more', async () => {
    const options = asked();
    server.misbehaviours.push({ corruptAt: PIECE + 5 });
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined, undefined]);
    // What is stored now is the sound one.
    expect(same(await fetchFile(remote(server), options), CONTENTS)).toBe(true);
    expect(server.ranges).toHaveLength(2);
  });

  test('is an error the second time, and its pieces are forgotten', async () => {
    const options = asked();
    const file = remote(server, { sha256: SHA256.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) });
    await expect(fetchFile(file, options)).rejects.toMatchObject({ kind: 'network', message: expect.stringContaining('model.safetensors of ViT-B/32 arrives damaged') });
    expect(server.ranges).toHaveLength(2);
    expect(await options.store.keys('pieces')).toEqual([]);
  });

  test('takes the same way where the wrong pieces were stored before', async () => {
    const store = new MemoryStore();
    server.misbehaviours.push({ corruptAt: 3 });
    await fetchFile({ name: 'model.safetensors', url: remote(server).url, bytes: CONTENTS.length }, asked(store));
    expect(same(await fetchFile(remote(server), asked(store)), CONTENTS)).toBe(true);
    expect(server.ranges).toEqual([undefined, undefined]);
  });
});

test('several files have one progress, which only grows and ends at the total', async () => {
  const told: { done: number; total: number; file: string }[] = [];
  const { onProgress: _, ...options } = asked();
  const small = { name: 'vocab.json', url: `${server.address}/vocab.json`, bytes: 5000 };
  const found = await fetchFiles([small, remote(server)], { ...options, onProgress: (progress) => told.push(progress) });
  expect([...found.keys()]).toEqual(['vocab.json', 'model.safetensors']);
  expect(same(found.get('vocab.json') ?? new Uint8Array(), CONTENTS.slice(0, 5000))).toBe(true);
  expect(isMonotone(told.map(({ done }) => done))).toBe(true);
  expect(new Set(told.map(({ total }) => total))).toEqual(new Set([CONTENTS.length + 5000]));
  expect(told.find(({ file }) => file === 'model.safetensors')?.done).toBe(5000);
  expect(told.at(-1)).toEqual({ done: CONTENTS.length + 5000, total: CONTENTS.length + 5000, file: 'model.safetensors' });
});

test('the contents of the tests are no repetition of a piece', () => {
  expect(same(CONTENTS.slice(0, PIECE), CONTENTS.slice(PIECE, 2 * PIECE))).toBe(false);
  expect(same(randomBytes(100, 1), randomBytes(100, 2))).toBe(false);
});
