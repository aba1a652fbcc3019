// The modules for the CPU beside the program: the same features of the same pictures.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { browser, open } from './support/browser.mjs';
import { root } from './support/samples.mjs';
import { tensors, worker } from './support/worker.mjs';

const program = process.env.LOWSHOT_PROGRAM ?? path.join(root, 'target', 'release', 'lowshot');
const folder = path.join(root, 'samples', 'eurosat', '2750');
/** One tile of each of the ten classes. */
const tiles = readdirSync(folder).map((name) => path.join(folder, name, readdirSync(path.join(folder, name)).sort()[0]));
/** Relative to the largest number of a feature; native sums are of other lengths, so they are rounded otherwise. */
const TOLERANCE = 2e-6;

/** The program's features, one row a tile. */
function native(scratch) {
  const file = path.join(scratch, 'features.safetensors');
  const { status, stderr } = spawnSync(program, ['embed', '--model', 'demo', '--device', 'cpu', '--out', file, ...tiles], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return tensors(readFileSync(file)).get('image_features');
}

test('every module for the CPU gives the features that the program gives, whatever the batch', { timeout: 120_000 }, async (t) => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'lowshot-modules-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const expected = native(scratch);
  const demo = path.join(root, 'models', 'demo-clip');
  const model = readdirSync(demo).map((name) => [name, readFileSync(path.join(demo, name)).toString('base64')]);
  const photos = tiles.map((tile) => readFileSync(tile).toString('base64'));
  const { page } = await browser(t, { errors: [/404/] });
  const width = expected.length / tiles.length;
  let before;
  for (const [kind, helpers] of [['cpu', 0], ['relaxed', 0], ['threads', 0], ['threads', 1], ['threads', 3]]) {
    await worker(page, kind, helpers);
    const { together, alone, rate } = await page.evaluate(
      async ([model, photos]) => {
        const info = await ask('load', 'demo', new Map(model.map(([name, content]) => [name, bytes(content)])), 'cpu', 'f32', 'auto');
        const views = [];
        for (const photo of photos) views.push((await ask('prepare', new Blob([bytes(photo)]), 'tile.jpg', info.preprocess, 0)).pixels);
        const joined = new Uint8Array(views.length * views[0].length);
        views.forEach((view, place) => joined.set(view, place * view.length));
        const together = await ask('imageFeatures', joined);
        const alone = [];
        for (const view of views) alone.push(...(await ask('imageFeatures', view)));
        return { together: [...together], alone, rate: await ask('measure') };
      },
      [model, photos],
    );
    assert.equal(together.length, expected.length);
    if (helpers > 0) assert.deepEqual(together, before, `a feature depends on ${helpers} helpers`);
    before = together;
    assert.deepEqual(alone, together, `${kind}: a picture's feature depends on its batch`);
    let worst = 0;
    for (let tile = 0; tile < tiles.length; tile++) {
      const row = expected.subarray(tile * width, (tile + 1) * width);
      const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      row.forEach((value, at) => (worst = Math.max(worst, Math.abs(value - together[tile * width + at]) / largest)));
    }
    console.log(`${kind}, ${helpers} helpers: off by ${worst.toExponential(1)} of a feature's largest number at most; ${rate.toFixed(0)} pictures a second`);
    assert.ok(worst <= TOLERANCE, `${kind}: off by ${worst}`);
  }
});

test('a visitor fetches and keeps the one module for the CPU that the browser takes', { timeout: 120_000 }, async (t) => {
  const { page, context } = await browser(t);
  const fetched = new Set();
  context.on('request', (request) => request.url().endsWith('.wasm') && fetched.add(path.basename(request.url())));
  await open(page);
  const kept = await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    const name = (await caches.keys()).find((name) => name.startsWith('lowshot-'));
    return (await (await caches.open(name)).keys()).map(({ url }) => url).filter((url) => url.endsWith('.wasm'));
  });
  assert.equal(fetched.size, 1, [...fetched].join(' '));
  assert.match([...fetched][0], /^threads-/);
  assert.deepEqual(kept.map((url) => path.basename(url)), [...fetched]);
});
