import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MemoryStore, type PhotoRecord, type Store, type ViewRecord, forgetEverything, openStore } from '../../../../www/store/store.ts';
import { bytesOf } from '../support/bytes.ts';

beforeEach(() => vi.stubGlobal('indexedDB', new IDBFactory()));
afterEach(() => vi.unstubAllGlobals());

const view = (key: string, project: string, ...pixels: number[]): ViewRecord => ({ key, project, pixels: Uint8Array.from(pixels) });
const photo = (id: string, project: string): PhotoRecord => ({
  id,
  project,
  name: `${id}.jpg`,
  original: new Blob([Uint8Array.of(1, 2, 3)]),
  thumbnail: new Blob([Uint8Array.of(4)]),
  width: 3,
  height: 2,
});

const STORES: readonly (readonly [string, () => Promise<Store>])[] = [
  ['the database', async () => (await openStore()).store],
  ['memory', async () => new MemoryStore()],
];

describe.each(STORES)('%s', (_, open) => {
  let store: Store;
  beforeEach(async () => (store = await open()));

  test('gives back what was put, with typed arrays and blobs', async () => {
    await store.put('photos', [photo('a', 'one')]);
    await store.put('features', [{ key: 'a', project: 'one', features: Float32Array.of(0.5, -1) }]);
    const found = await store.get('photos', 'a');
    expect(found).toMatchObject({ id: 'a', project: 'one', name: 'a.jpg', width: 3, height: 2 });
    expect(await bytesOf(found?.original)).toEqual([1, 2, 3]);
    expect((await store.get('features', 'a'))?.features).toEqual(Float32Array.of(0.5, -1));
  });

  test('knows nothing of what was never put', async () => {
    expect(await store.get('photos', 'a')).toBeUndefined();
    expect(await store.keys('photos')).toEqual([]);
    expect(await store.all('projects')).toEqual([]);
  });

  test('replaces what has the same key', async () => {
    await store.put('views', [view('a', 'one', 1)]);
    await store.put('views', [view('a', 'two', 2)]);
    expect(await store.get('views', 'a')).toEqual(view('a', 'two', 2));
    expect(await store.keys('views', 'one')).toEqual([]);
    expect(await store.keys('views', 'two')).toEqual(['a']);
  });

  test('keeps tables apart', async () => {
    await store.put('views', [view('a', 'one', 1)]);
    expect(await store.get('features', 'a')).toBeUndefined();
    await store.delete('features', ['a']);
    expect(await store.get('views', 'a')).toBeDefined();
  });

  test('lists keys in order, all of them or those of a group', async () => {
    await store.put('views', [view('c', 'one'), view('a', 'two'), view('b', 'one')]);
    expect(await store.keys('views')).toEqual(['a', 'b', 'c']);
    expect(await store.keys('views', 'one')).toEqual(['b', 'c']);
    expect(await store.keys('views', 'three')).toEqual([]);
  });

  test('groups pieces by their model', async () => {
    const piece = (key: string, model: string) => ({ key, model, bytes: new Blob(), sha256: '' });
    await store.put('pieces', [piece('x', 'ViT-B/32'), piece('y', 'ViT-B/16')]);
    expect(await store.keys('pieces', 'ViT-B/16')).toEqual(['y']);
  });

  test('deletes many at once, of which some need not be there', async () => {
    await store.put('views', [view('a', 'one'), view('b', 'one'), view('c', 'one')]);
    await store.delete('views', ['a', 'nothing', 'c']);
    expect(await store.keys('views')).toEqual(['b']);
    await store.delete('views', []);
    expect(await store.keys('views', 'one')).toEqual(['b']);
  });

  test('puts nothing where it is given nothing', async () => {
    await store.put('views', []);
    expect(await store.keys('views')).toEqual([]);
  });

  test('gives all rows of what has no groups', async () => {
    await store.put('projects', [{ id: 'b', savedAt: 2, json: '{}' }, { id: 'a', savedAt: 1, json: '[]' }]);
    await store.put('models', [{ key: 'm', json: '{}' }]);
    const rows = await store.all('projects');
    expect(rows.toSorted((one, other) => one.savedAt - other.savedAt)).toEqual([{ id: 'a', savedAt: 1, json: '[]' }, { id: 'b', savedAt: 2, json: '{}' }]);
    expect(await store.all('models')).toEqual([{ key: 'm', json: '{}' }]);
  });

  test('estimates its room, or says nothing where nobody knows', async () => {
    vi.stubGlobal('navigator', {});
    expect(await store.estimate()).toBeUndefined();
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ usage: 5 }) } });
    expect(await store.estimate()).toBeUndefined();
    vi.stubGlobal('navigator', { storage: { estimate: async () => Promise.reject(new TypeError('opaque origin')) } });
    expect(await store.estimate()).toBeUndefined();
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ usage: 5, quota: 9 }) } });
    expect(await store.estimate()).toEqual(store.mode === 'memory' ? undefined : { used: 5, quota: 9 });
  });
});

describe('the database', () => {
  afterEach(() => vi.restoreAllMocks());

  /** The second record of a transaction cannot be put. */
  function refuseSecond(error: DOMException): void {
    let calls = 0;
    const put = IDBObjectStore.prototype.put;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value: unknown) {
      if (++calls === 2) throw error;
      return put.call(this, value);
    });
  }

  /** There is no room once so many records have been put. */
  function fullAfter(count: number): void {
    let calls = 0;
    const put = IDBObjectStore.prototype.put;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value: unknown) {
      const request = put.call(this, value);
      const { transaction } = this as unknown as { transaction: { _abort(name: string): void } };
      if (++calls === count) request.addEventListener('success', () => transaction._abort('QuotaExceededError'));
      return request;
    });
  }

  test('keeps what was put for the next time', async () => {
    await (await openStore()).store.put('views', [view('a', 'one', 7)]);
    const { store, problem } = await openStore();
    expect(problem).toBeUndefined();
    expect(await store.get('views', 'a')).toEqual(view('a', 'one', 7));
  });

  test.each([
    ['when a record is put', () => refuseSecond(new DOMException('no room', 'QuotaExceededError'))],
    ['after one record', () => fullAfter(1)],
    ['after all records, when they are written', () => fullAfter(3)],
  ])('puts all or none where there is no room %s, and says what to do', async (_, fill) => {
    const { store } = await openStore();
    fill();
    await expect(store.put('views', [view('a', 'one'), view('b', 'one'), view('c', 'one')])).rejects.toMatchObject({
      name: 'LowshotError',
      kind: 'storage',
      message: expect.stringMatching(/^this browser gives the page no more room: delete projects or models/),
    });
    vi.restoreAllMocks();
    expect(await store.keys('views')).toEqual([]);
    await store.put('views', [view('a', 'one')]);
    expect(await store.keys('views')).toEqual(['a']);
  });

  test('puts all or none where a record cannot be stored', async () => {
    const { store } = await openStore();
    const unstorable = { ...view('b', 'one'), pixels: (() => undefined) as never };
    await expect(store.put('views', [view('a', 'one'), unstorable])).rejects.toMatchObject({ kind: 'storage' });
    expect(await store.keys('views')).toEqual([]);
  });

  test('says that it fails, and why, where another thing goes wrong', async () => {
    const { store } = await openStore();
    refuseSecond(new DOMException('the disk is gone', 'UnknownError'));
    const message = 'the browser\'s storage fails (the disk is gone): reload the page';
    await expect(store.put('views', [view('a', 'one'), view('b', 'one')])).rejects.toMatchObject({ kind: 'storage', message });
  });

  test('is gone once everything is forgotten, though it is open', async () => {
    const { store } = await openStore();
    await store.put('views', [view('a', 'one')]);
    await forgetEverything();
    await expect(store.get('views', 'a')).rejects.toMatchObject({ kind: 'storage' });
    expect(await (await openStore()).store.keys('views')).toEqual([]);
  });
});

describe('opening', () => {
  test('takes memory where the browser forbids its database, and says why', async () => {
    const open = (): never => { throw new DOMException('The operation is insecure.', 'SecurityError'); };
    vi.stubGlobal('indexedDB', { open });
    const { store, problem } = await openStore();
    expect(store.mode).toBe('memory');
    expect(problem).toBe('this browser does not let the page store anything (The operation is insecure.)');
    await store.put('views', [view('a', 'one', 1)]);
    expect(await store.keys('views')).toEqual(['a']);
  });

  test('takes memory where there is no database at all', async () => {
    vi.stubGlobal('indexedDB', undefined);
    expect((await openStore()).store.mode).toBe('memory');
  });
});
