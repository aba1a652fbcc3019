/// <reference lib="webworker" />
/**
 * Works without a network after the first visit: the page itself is stored when it is installed, pictures as they are shown. Models
 * are not its business: they lie in the database, in pieces that can be verified.
 */
const worker = self as unknown as ServiceWorkerGlobalScope;

/** Filled in when the page is built: a name for this build, and the files that every visit needs. */
const BUILD = '%BUILD%';
const FILES = JSON.parse('%FILES%') as string[];

/** Whether this browser has relaxed SIMD, asked as in engine/handle.ts: a service worker is one file and imports nothing. */
const relaxed = WebAssembly.validate(
  Uint8Array.of(
    ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0],
    ...[65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 133, 2, 11],
  ),
);
/** What this browser does not use of the modules for the CPU: where the page is answered for from here, it may share memory. */
const UNUSED = relaxed ? /\/(lowshot_bg|relaxed)-/ : /\/(relaxed|threads)-/;

const CACHE = `lowshot-${BUILD}`;
/** How long a slow network may keep a visitor waiting for a newer page, in milliseconds. */
const PATIENCE = 3000;

worker.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      // What does not change its name when it changes may lie about in the browser's own cache: the page of a build before, say.
      const files = FILES.filter((file) => !UNUSED.test(file));
      await cache.addAll(files.map((file) => (file.startsWith('assets/') ? file : new Request(file, { cache: 'no-cache' }))));
      await worker.skipWaiting();
    })(),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      const names = await caches.keys();
      await Promise.all(names.filter((name) => name.startsWith('lowshot-') && name !== CACHE).map((name) => caches.delete(name)));
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== worker.location.origin || request.headers.has('range')) return;
  if (request.mode === 'navigate') event.respondWith(newest(request).then(isolated));
  else if (/\/(assets|samples)\//.test(url.pathname) && !/\.(safetensors|txt)$|\/vocab/.test(url.pathname)) {
    const answer = stored(request);
    event.respondWith(request.destination === 'worker' ? answer.then(isolated) : answer);
  }
});

/** The same as a page, or the script of a Worker, that may share memory: not every server can be told to say so. */
function isolated(answer: Response): Response {
  // A redirection is followed by the browser and has nothing to add to.
  if (answer.status === 0 || answer.headers.has('cross-origin-embedder-policy')) return answer;
  const headers = new Headers(answer.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}

/** From the network while it is quick, else as it was stored. */
async function newest(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const page = (): Promise<Response | undefined> => cache.match('./');
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PATIENCE));
  const answer = await Promise.race([fetch(request).catch(() => undefined), late]);
  return answer ?? (await page()) ?? fetch(request);
}

/** What never changes under its name, or hardly. */
async function stored(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request);
  if (found) return found;
  const answer = await fetch(request);
  // A full disk is no reason not to answer.
  if (answer.ok) void cache.put(request, answer.clone()).catch(() => undefined);
  return answer;
}
