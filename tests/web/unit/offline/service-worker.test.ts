import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

/** It is a script, not a module with something to import. */
const PROGRAM = new URL('../../../../www/sw.ts', import.meta.url).href;
const PAGE = 'https://example.org/lowshot/';
const FILES = ['./', 'assets/index-abc.js', 'favicon.svg'];

type Listener = (event: unknown) => void;
let listeners: Map<string, Listener>;
let stored: Map<string, Map<string, Response>>;
/** What was put into the cache at once, and how it was asked for. */
let added: { url: string; cache: string | undefined }[];
let network: (url: string) => Promise<Response>;
let full: boolean;

const absolute = (request: Request | string): string => new URL(typeof request === 'string' ? request : request.url, PAGE).href;

/** A request of a page; Node has none that navigates. */
const ask = (path: string, { mode = 'cors', method = 'GET', headers = {}, destination = '' } = {}): Request =>
  ({ url: new URL(path, PAGE).href, mode, method, headers: new Headers(headers), destination }) as unknown as Request;

const cacheOf = (name: string): Map<string, Response> => {
  if (!stored.has(name)) stored.set(name, new Map());
  return stored.get(name) as Map<string, Response>;
};

beforeEach(async () => {
  vi.resetModules();
  listeners = new Map();
  stored = new Map([['lowshot-old', new Map([[`${PAGE}assets/old.js`, new Response('old')]])], ['another-site', new Map()]]);
  added = [];
  full = false;
  network = async (url) => new Response(`network ${url}`);
  vi.stubGlobal('self', {
    location: new URL(`${PAGE}sw.js`),
    addEventListener: (type: string, listener: Listener) => listeners.set(type, listener),
    skipWaiting: vi.fn(async () => undefined),
    clients: { claim: vi.fn(async () => undefined) },
  });
  vi.stubGlobal('Request', class { constructor(readonly url: string, readonly options: RequestInit) {} });
  vi.stubGlobal('fetch', (request: Request) => network(request.url));
  vi.stubGlobal('caches', {
    keys: async () => [...stored.keys()],
    delete: async (name: string) => stored.delete(name),
    open: async (name: string) => ({
      addAll: async (files: readonly (string | { url: string; options: RequestInit })[]) => {
        for (const file of files) {
          const url = typeof file === 'string' ? file : file.url;
          added.push({ url, cache: typeof file === 'string' ? undefined : file.options.cache });
          cacheOf(name).set(absolute(url), new Response(`stored ${url}`));
        }
      },
      match: async (request: Request | string) => cacheOf(name).get(absolute(request))?.clone(),
      put: async (request: Request, response: Response) => {
        if (full) throw new DOMException('no room', 'QuotaExceededError');
        cacheOf(name).set(absolute(request), response);
      },
    }),
  });
  // The build puts the list there.
  const parse = JSON.parse;
  vi.spyOn(JSON, 'parse').mockImplementation((text, reviver) => (text === '%FILES%' ? FILES : parse(text, reviver)));
  await import(/* @vite-ignore */ PROGRAM);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

async function happen(type: 'install' | 'activate'): Promise<void> {
  let done: Promise<unknown> = Promise.resolve();
  listeners.get(type)?.({ waitUntil: (promise: Promise<unknown>) => (done = promise) });
  await done;
}

/** What it answers; nothing where it leaves the request to the browser. */
function answer(request: Request): Promise<Response> | undefined {
  let given: Promise<Response> | undefined;
  listeners.get('fetch')?.({ request, respondWith: (response: Promise<Response>) => (given = response) });
  return given;
}

const textOf = async (response: Promise<Response> | undefined): Promise<string | undefined> => (await response)?.text();
const NAVIGATION = { mode: 'navigate' };

describe('installing', () => {
  test('stores what every visit needs, and nothing old under a name that stays the same', async () => {
    await happen('install');
    expect(added).toEqual([{ url: './', cache: 'no-cache' }, { url: 'assets/index-abc.js', cache: undefined }, { url: 'favicon.svg', cache: 'no-cache' }]);
  });

  test('forgets builds before, and nothing of others', async () => {
    await happen('install');
    await happen('activate');
    expect([...stored.keys()]).toEqual(['another-site', 'lowshot-%BUILD%']);
  });
});

describe('the page', () => {
  beforeEach(() => happen('install'));

  test('comes from the network while there is one', async () => {
    expect(await textOf(answer(ask('./', NAVIGATION)))).toBe(`network ${PAGE}`);
  });

  test('comes from what is stored where there is none', async () => {
    network = () => Promise.reject(new TypeError('offline'));
    expect(await textOf(answer(ask('./?from=home', NAVIGATION)))).toBe('stored ./');
  });

  test('comes from what is stored where the network takes too long', async () => {
    vi.useFakeTimers();
    network = () => new Promise(() => undefined);
    const page = textOf(answer(ask('./', NAVIGATION)));
    await vi.advanceTimersByTimeAsync(3000);
    expect(await page).toBe('stored ./');
  });

  test('is waited for where it is not stored', async () => {
    stored.clear();
    let calls = 0;
    network = async (url) => (++calls === 1 ? Promise.reject(new TypeError('hiccup')) : new Response(`network ${url}`));
    expect(await textOf(answer(ask('./', NAVIGATION)))).toBe(`network ${PAGE}`);
  });
});

describe('its files', () => {
  beforeEach(() => happen('install'));

  test('come from what is stored, without a request', async () => {
    network = () => Promise.reject(new TypeError('offline'));
    expect(await textOf(answer(ask('assets/index-abc.js')))).toBe('stored assets/index-abc.js');
  });

  test('are stored as they are shown', async () => {
    expect(await textOf(answer(ask('samples/cat.webp')))).toBe(`network ${PAGE}samples/cat.webp`);
    network = () => Promise.reject(new TypeError('offline'));
    await expect.poll(() => textOf(answer(ask('samples/cat.webp'))?.catch(() => new Response('nothing')))).toBe(`network ${PAGE}samples/cat.webp`);
  });

  test('are answered though there is no room for them', async () => {
    full = true;
    expect(await textOf(answer(ask('samples/cat.webp')))).toBe(`network ${PAGE}samples/cat.webp`);
  });

  test('that are not there are not stored', async () => {
    network = async () => new Response('no', { status: 404 });
    await answer(ask('assets/gone.js'));
    network = async () => new Response('yes');
    expect(await textOf(answer(ask('assets/gone.js')))).toBe('yes');
  });
});

describe('sharing memory', () => {
  beforeEach(() => happen('install'));
  const said = async (request: Request): Promise<(string | null)[]> => {
    const headers = (await answer(request))?.headers;
    return ['cross-origin-opener-policy', 'cross-origin-embedder-policy', 'content-type'].map((name) => headers?.get(name) ?? null);
  };

  test.each<[string, Request]>([
    ['the page', ask('./', NAVIGATION)],
    ['a Worker', ask('assets/worker-abc.js', { destination: 'worker' })],
  ])('is allowed to %s, wherever it comes from', async (_, request) => {
    network = async () => new Response('it', { headers: { 'content-type': 'text/x' } });
    expect(await said(request)).toEqual(['same-origin', 'require-corp', 'text/x']);
    expect(await textOf(answer(request))).toBe('it');
    network = async () => new Response('it', { headers: { 'cross-origin-embedder-policy': 'credentialless' } });
    if (request.mode === 'navigate') expect((await said(request))[1]).toBe('credentialless');
  });

  test('is nothing to other files, and a redirection stays one', async () => {
    expect(await said(ask('assets/index-abc.js'))).toEqual([null, null, 'text/plain;charset=UTF-8']);
    const redirection = { status: 0, headers: new Headers() } as Response;
    network = async () => redirection;
    expect(await answer(ask('./', NAVIGATION))).toBe(redirection);
  });
});

test.each<[string, Request]>([
  ['another site', ask('https://huggingface.co/api/models/x')],
  ['weights', ask('assets/model-abc.safetensors')],
  ['a tokenizer', ask('assets/vocab-abc.json')],
  ['merges', ask('assets/merges-abc.txt')],
  ['a part of a file', ask('assets/index-abc.js', { headers: { range: 'bytes=5-9' } })],
  ['what is sent', ask('assets/index-abc.js', { method: 'POST' })],
  ['the service worker itself', ask('sw.js')],
])('%s is left to the browser', (_, request) => expect(answer(request)).toBeUndefined());
