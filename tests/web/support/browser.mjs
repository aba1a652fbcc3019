// Chromium on the page, as a visitor has it. What goes to the console as an error fails the test that has not expected it.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { chromiumPath } from './chromium.mjs';

/** Where `lowshot serve` serves the page; run.mjs has started it. */
export const PAGE = process.env.LOWSHOT_PAGE ?? 'http://127.0.0.1:8000/';

const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
];

/** What browsers say of themselves and not of the page. */
const HARMLESS = [/No available adapters/, /powerPreference option is currently ignored/];

/**
 * A browser of its own, with an empty profile, which ends with the test `t`. `gpu`: with WebGPU, by its software adapter; without, the
 * adapter is null. `errors` are expected on the console; any other fails the test.
 */
export async function browser(t, { gpu = false, errors = [], ...options } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'lowshot-browser-'));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: chromiumPath(),
    headless: true,
    args: gpu ? [...FLAGS, '--enable-unsafe-webgpu'] : FLAGS,
    viewport: { width: 1280, height: 900 },
    acceptDownloads: true,
    ...options,
  });
  const problems = [];
  const note = (text) => {
    if (![...HARMLESS, ...errors].some((pattern) => pattern.test(text))) problems.push(text);
  };
  const watch = (page) => {
    page.on('console', (message) => {
      if (message.type() === 'error' || /GPUValidationError|uncaptured/i.test(message.text())) note(message.text());
    });
    page.on('pageerror', (error) => note(`uncaught: ${error.stack ?? error.message}`));
  };
  context.pages().forEach(watch);
  context.on('page', watch);
  t.after(async () => {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
    assert.deepEqual(problems, [], 'the console is quiet');
  });
  return { context, page: context.pages()[0] ?? (await context.newPage()) };
}

/** Opens the page and waits until a model is ready. */
export async function open(page, address = PAGE) {
  await page.goto(address);
  await ready(page);
}

export async function ready(page, timeout = 60_000) {
  await page.waitForFunction(() => globalThis.lowshot?.state.model.status === 'ready', undefined, { timeout });
}

/** Waits until the sample's photos have been looked at, five classes of eight. */
export async function samplesReady(page, timeout = 60_000) {
  const all = () => globalThis.lowshot.state.project.classes.flatMap(({ samples }) => samples).filter(({ state }) => state === 'ready').length === 40;
  await page.waitForFunction(all, undefined, { timeout });
}

/** The page's state, as plain data. */
export function state(page) {
  return page.evaluate(() => JSON.parse(JSON.stringify(globalThis.lowshot.state)));
}

/** Waits until nothing is learnt any more; gives the training. */
export async function trained(page, timeout = 240_000) {
  await page.waitForFunction(() => ['done', 'failed'].includes(globalThis.lowshot.state.training.status), undefined, { timeout });
  return (await state(page)).training;
}

/** What a download brings. */
export async function downloaded(page, click) {
  const [download] = await Promise.all([page.waitForEvent('download'), click()]);
  return { name: download.suggestedFilename(), path: await download.path(), download };
}

/** Waits until something asynchronous in the page is true. */
export async function until(page, predicate, timeout = 120_000) {
  const end = Date.now() + timeout;
  while (!(await page.evaluate(predicate))) {
    if (Date.now() > end) throw new Error(`it never came true: ${predicate}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
