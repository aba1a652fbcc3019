// Two thousand photos: they lie in storage, not on the heap, and only what is seen is drawn.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { browser, open } from './support/browser.mjs';
import { samples } from './support/samples.mjs';

const PHOTOS = 2000;
/** The heap may grow by so many bytes a photo: what is known of each, but neither its pixels nor its features. */
const BYTES_A_PHOTO = 4096;
/** Thumbnails that may be alive at a time. */
const THUMBNAILS = 300;

test('two thousand photos leave the heap flat', { timeout: 900_000 }, async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lowshot-many-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const tiles = samples(['Forest', 'River', 'Sea or Lake', 'Pasture Land']).flatMap(({ shots, others }) => [...shots, ...others]);
  const files = Array.from({ length: PHOTOS }, (_, index) => {
    const file = path.join(folder, `photo-${index}.jpg`);
    copyFileSync(tiles[index % tiles.length], file);
    return file;
  });
  const { context, page } = await browser(t);
  await open(page);
  await page.evaluate(async () => {
    await globalThis.lowshot.actions.stop();
    await globalThis.lowshot.actions.newProject();
    globalThis.lowshot.actions.addClass('many');
  });
  const tools = await context.newCDPSession(page);
  await tools.send('Performance.enable');
  const heap = async () => {
    await tools.send('HeapProfiler.collectGarbage');
    const { metrics } = await tools.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'JSHeapUsedSize').value;
  };
  const before = await heap();
  const start = Date.now();
  // In parts, as a browser's own dialog would not be asked for two thousand at once either.
  for (let at = 0; at < PHOTOS; at += 500) await page.getByTestId('upload-input').setInputFiles(files.slice(at, at + 500));
  await page.waitForFunction((n) => globalThis.lowshot.state.project.classes[0].samples.filter(({ state }) => state === 'ready').length === n, PHOTOS, { timeout: 800_000, polling: 1000 });
  const seconds = (Date.now() - start) / 1000;
  await page.waitForFunction(() => !globalThis.lowshot.state.adding);
  const grown = (await heap()) - before;
  const thumbnails = await page.evaluate(() => document.querySelectorAll('[data-testid="class-card"] img').length);
  console.log(`${PHOTOS} photos in ${seconds.toFixed(0)} s; heap grown by ${(grown / 1e6).toFixed(1)} MB, ${thumbnails} thumbnails in the page`);
  assert.ok(grown < PHOTOS * BYTES_A_PHOTO, `${(grown / PHOTOS).toFixed(0)} bytes a photo`);
  assert.ok(thumbnails > 0 && thumbnails <= THUMBNAILS, `${thumbnails} thumbnails`);
});
