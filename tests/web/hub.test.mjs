// Models from the hub, which the test plays: with the demo model's files, in all the ways that a network fails.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { PAGE, browser, open, ready, samplesReady, state } from './support/browser.mjs';
import { noise } from './support/pictures.mjs';
import { root } from './support/samples.mjs';

const NAME = 'TinyCLIP-8M';
const REPOSITORY = 'wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M';
const PIECE = 2 << 20;
const files = Object.fromEntries(
  ['config.json', 'preprocessor_config.json', 'vocab.json', 'merges.txt', 'tokenizer.json', 'model.safetensors'].map((name) => [name, readFileSync(path.join(root, 'models', 'demo-clip', name))]),
);
const WEIGHTS = files['model.safetensors'].length;
const sha256 = createHash('sha256').update(files['model.safetensors']).digest('hex');

const LISTING = {
  sha: 'abc123',
  siblings: Object.entries(files).map(([rfilename, { length: size }]) => ({ rfilename, size, ...(rfilename === 'model.safetensors' ? { lfs: { sha256, size } } : {}) })),
};

/**
 * The hub. `asked` is what was asked for, in order: "listing", or a file's name with where it was asked from. `answer(name, bytes)` may
 * be replaced: it gives what is sent of what was asked for, a status in its place, or a promise of that.
 */
async function hub(context) {
  const playing = { asked: [], answer: (_, bytes) => bytes };
  await context.route('https://huggingface.co/**', async (route) => {
    const { pathname, search } = new URL(route.request().url());
    const cors = { 'access-control-allow-origin': '*' };
    const listing = pathname === `/api/models/${REPOSITORY}` && search === '?blobs=true';
    const name = listing ? 'listing' : new RegExp(`^/${REPOSITORY}/resolve/abc123/(.+)$`).exec(pathname)?.[1];
    const whole = listing ? Buffer.from(JSON.stringify(LISTING)) : files[name];
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(route.request().headers().range ?? '') ?? [];
    playing.asked.push(from === undefined ? name : `${name} from ${from}`);
    const asked = from === undefined ? whole : whole.subarray(Number(from), Number(to) + 1);
    const given = await playing.answer(name, asked);
    if (given === 'nothing') return route.abort('connectionrefused').catch(() => undefined);
    if (typeof given === 'number') return route.fulfill({ status: given, headers: cors, body: 'not now' });
    const range = from === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${whole.length}` };
    // Whoever has cancelled waits no longer.
    return route.fulfill({ status: from === undefined ? 200 : 206, headers: { ...cors, ...range, 'content-type': 'application/octet-stream' }, body: given }).catch(() => undefined);
  });
  return playing;
}

/** The page with an empty project, its model panel open; `row` is the model's, `progress` what it said of bytes. */
async function opened(t, options) {
  const { page, context } = await browser(t, options);
  const played = await hub(context);
  await open(page);
  await page.evaluate(async () => {
    const { actions } = globalThis.lowshot;
    await actions.newProject();
    actions.addClass('cats');
    actions.addClass('houses');
  });
  await page.evaluate(() => {
    globalThis.progress = [];
    globalThis.lowshot.subscribe(() => {
      const { done } = globalThis.lowshot.state.model.progress ?? {};
      if (done !== undefined && done !== globalThis.progress.at(-1)) globalThis.progress.push(done);
    });
  });
  await page.getByTestId('model-badge').click();
  const row = page.locator(`[data-testid="model-row"][data-name="${NAME}"]`);
  return { page, played, row };
}

const inUse = (page, name) => page.waitForFunction((name) => globalThis.lowshot.state.model.name === name && globalThis.lowshot.state.model.status === 'ready', name, { timeout: 60_000 });
const texts = async (page) => (await state(page)).notices.map(({ text }) => text);

/** Adds a photo and gives its features by the model in use. */
function features(page, name) {
  return page.evaluate(
    async ([name, photo]) => {
      const { actions, state } = globalThis.lowshot;
      await actions.addPhotos(state.project.classes[0].id, [new File([Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0))], name)]);
      const { id } = globalThis.lowshot.state.project.classes[0].samples.find((sample) => sample.name === name);
      const key = `${id}\n${globalThis.lowshot.state.model.info.sha256}`;
      const database = await new Promise((resolve) => (indexedDB.open('lowshot').onsuccess = ({ target }) => resolve(target.result)));
      const request = database.transaction('features').objectStore('features').get(key);
      const found = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      database.close();
      return [...found.features];
    },
    [name, noise(70, 50, 7).toString('base64')],
  );
}

/** Keys of what is stored of the model. */
function pieces(page) {
  return page.evaluate(async (name) => {
    const database = await new Promise((resolve) => (indexedDB.open('lowshot').onsuccess = ({ target }) => resolve(target.result)));
    const request = database.transaction('pieces').objectStore('pieces').index('group').getAllKeys(name);
    const found = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    database.close();
    return found.map((key) => key.split('\n').slice(1).join(' '));
  }, NAME);
}

test('a model is fetched from a hub that cuts off, damages and refuses, and answers as it should', { timeout: 240_000 }, async (t) => {
  const { page, played, row } = await opened(t, { errors: [/503/] });
  const before = await features(page, 'before.png');
  const times = {};
  played.answer = (name, bytes) => {
    times[name] = (times[name] ?? 0) + 1;
    if (name === 'vocab.json' && times[name] < 3) return 503;
    if (name !== 'model.safetensors') return bytes;
    // The first is cut off after a piece and a part; the second is whole, but not what was published; the third is cut off early.
    if (times[name] === 1) return bytes.subarray(0, PIECE + 1_000_000);
    if (times[name] === 2) return Buffer.concat([Buffer.from([bytes[0] ^ 1]), bytes.subarray(1)]);
    return times[name] === 3 ? bytes.subarray(0, 1_000_000) : bytes;
  };
  assert.match(await row.getByTestId('use-model').innerText(), /^Download 94.MB$/);
  await row.getByTestId('use-model').click();
  await inUse(page, NAME);
  assert.deepEqual(played.asked, [
    'listing',
    'config.json',
    'preprocessor_config.json',
    'vocab.json',
    'vocab.json',
    'vocab.json',
    'merges.txt',
    'model.safetensors',
    `model.safetensors from ${PIECE}`,
    // All of it was as it had come, so it had come wrong: all of it once more.
    'model.safetensors',
    'model.safetensors',
  ]);
  const progress = await page.evaluate(() => globalThis.progress);
  const total = Object.entries(files).reduce((sum, [name, { length }]) => sum + (name === 'tokenizer.json' ? 0 : length), 0);
  assert.ok(progress.length > 4, `${progress}`);
  assert.equal(progress.at(-1), total);
  const { model, notices } = await state(page);
  assert.deepEqual(notices, []);
  assert.equal(model.info.parameters > 0, true);
  const after = await features(page, 'after.png');
  assert.equal(after.length, before.length);
  assert.ok(Math.max(...after.map((value, index) => Math.abs(value - before[index]))) < 1e-6);
  assert.equal(await row.getAttribute('data-status'), 'ready');
});

test('a download is cancelled, gone on with where it was, kept, and removed', { timeout: 240_000 }, async (t) => {
  const { page, played, row } = await opened(t, { errors: [/ERR_/] });
  let go;
  const held = new Promise((resolve) => (go = resolve));
  let arrived;
  const second = new Promise((resolve) => (arrived = resolve));
  let weights = 0;
  played.answer = async (name, bytes) => {
    if (name !== 'model.safetensors') return bytes;
    if (++weights === 1) return bytes.subarray(0, PIECE + 1000);
    if (weights > 2) return bytes;
    arrived();
    await held;
    return 'nothing';
  };
  await row.getByTestId('use-model').click();
  await second;
  assert.equal((await state(page)).model.status, 'downloading');
  // What is in use answers meanwhile, and after it is cancelled.
  const answered = async () => {
    const answer = await page.evaluate(async (photo) => globalThis.lowshot.actions.classify(new Blob([Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0))])), noise(20, 20, 3).toString('base64'));
    assert.equal(answer?.probabilities.length, 2);
  };
  await answered();
  await row.getByTestId('cancel-model').click();
  await inUse(page, 'demo');
  await answered();
  go();
  assert.deepEqual(await texts(page), [], 'whoever cancels need not be told');
  assert.match(await row.getByTestId('use-model').innerText(), /^Go on downloading 94.MB$/);
  assert.deepEqual(await pieces(page), ['config.json 0', 'merges.txt 0', 'model.safetensors 0', 'preprocessor_config.json 0', 'vocab.json 0']);

  const from = played.asked.length;
  await row.getByTestId('use-model').click();
  await inUse(page, NAME);
  assert.deepEqual(played.asked.slice(from), ['listing', `model.safetensors from ${PIECE}`], 'only what was missing is fetched');
  await answered();

  // Without the hub, from here on. Where its project is open again, so is its model.
  played.answer = () => 'nothing';
  await page.evaluate(() => globalThis.lowshot.actions.renameProject('With its model'));
  await page.waitForFunction(() => globalThis.lowshot.state.projects.some(({ name }) => name === 'With its model'));
  const quiet = played.asked.length;
  await page.reload();
  await ready(page);
  await inUse(page, NAME);
  await answered();
  assert.equal(played.asked.length, quiet, 'the hub is not asked');
  assert.equal((await pieces(page)).length, 4 + Math.ceil(WEIGHTS / PIECE));

  await page.getByTestId('model-badge').click();
  await page.locator('[data-testid="model-row"][data-name="demo"]').getByTestId('use-model').click();
  await inUse(page, 'demo');
  await row.getByTestId('forget-model').click();
  await page.waitForFunction((name) => globalThis.lowshot.state.models.find((one) => one.name === name).cachedBytes === 0, NAME);
  assert.deepEqual(await pieces(page), []);
  assert.match(await row.getByTestId('use-model').innerText(), /^Download/);
  assert.equal(await row.getByTestId('forget-model').count(), 0);
});

test('a hub that refuses or cannot be reached is told of in one line, and the model in use stays', { timeout: 180_000 }, async (t) => {
  const { page, played, row } = await opened(t, { errors: [/ERR_|503/] });
  const told = [];
  for (const answer of [503, 'nothing']) {
    played.answer = () => answer;
    await row.getByTestId('use-model').click();
    await page.waitForFunction((count) => globalThis.lowshot.state.notices.length > count, told.length);
    await inUse(page, 'demo');
    told.push((await texts(page)).at(-1));
  }
  assert.deepEqual(told, [
    `${NAME} cannot be fetched: huggingface.co says 503; try again later.`,
    `${NAME} cannot be fetched: huggingface.co does not answer; is there a network?`,
  ]);
  assert.deepEqual(await texts(page), told);
  // It was asked once each, and is asked again by whoever wants it.
  assert.deepEqual(played.asked, ['listing', 'listing']);
  played.answer = (_, bytes) => bytes;
  await row.getByTestId('use-model').click();
  await inUse(page, NAME);
});

test('a download that is cancelled in favour of another leaves the model in use as it was', { timeout: 180_000 }, async (t) => {
  const { page, played, row } = await opened(t);
  played.answer = () => new Promise(() => undefined);
  await row.getByTestId('use-model').click();
  await page.waitForFunction((name) => globalThis.lowshot.state.model.name === name, NAME);
  const other = page.locator('[data-testid="model-row"][data-name="ViT-B/32"]');
  await other.getByTestId('use-model').click();
  await page.waitForFunction(() => globalThis.lowshot.state.model.name === 'ViT-B/32');
  await other.getByTestId('cancel-model').click();
  await inUse(page, 'demo');
  assert.equal(await page.locator('[data-testid="model-row"][data-name="demo"]').getAttribute('data-status'), 'ready');
});

test('a model that is being loaded is cancelled, and the one before is in use again', { timeout: 180_000 }, async (t) => {
  const { page, row } = await opened(t);
  // It is fetched, and then takes for ever to load.
  await page.evaluate((name) => {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (message.name !== 'load' || message.arguments[0] !== name) post.call(this, message, ...rest);
    };
  }, NAME);
  await row.getByTestId('use-model').click();
  await page.waitForFunction((name) => globalThis.lowshot.state.model.status === 'loading' && globalThis.lowshot.state.model.name === name, NAME);
  await row.getByTestId('cancel-model').click();
  await inUse(page, 'demo');
  assert.deepEqual(await texts(page), []);
  const answer = await page.evaluate(async (photo) => globalThis.lowshot.actions.classify(new Blob([Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0))])), noise(20, 20, 3).toString('base64'));
  assert.equal(answer?.probabilities.length, 2);
});

test('whoever waits for the first model waits for the one that is chosen in its place', { timeout: 180_000 }, async (t) => {
  const { page, context } = await browser(t);
  await hub(context);
  // The page's own model never arrives.
  await context.route(/model-.*\.safetensors/, () => undefined);
  await page.goto(PAGE);
  await page.waitForFunction(() => globalThis.lowshot?.state.model.progress?.file === 'model.safetensors');
  await page.getByTestId('model-badge').click();
  await page.locator(`[data-testid="model-row"][data-name="${NAME}"]`).getByTestId('use-model').click();
  await inUse(page, NAME);
  await samplesReady(page);
  await page.evaluate(() => globalThis.lowshot.actions.stop());
});
