// node benches/page.mjs [ROUNDS]: the page itself, cold, served by `lowshot serve` on loopback: bytes that are fetched, time to the first
// answer, how quickly the sample's ladder fills, and how long the main thread is ever busy. After npm run build and
// cargo build --release.

import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { loadavg } from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { chromiumPath } from '../tests/web/support/chromium.mjs';
import { PROGRAM, root } from '../tests/web/support/samples.mjs';

const rounds = Number(process.argv[2] ?? 5);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const spread = (values, digits = 0) => `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} … ${Math.max(...values).toFixed(digits)})`;

const server = spawn(PROGRAM, ['serve', '--port', '0', '--page', path.join(root, 'dist')], { stdio: ['ignore', 'pipe', 'inherit'] });
const address = await new Promise((resolve) => server.stdout.on('data', (text) => resolve(/http:\/\/\S+/.exec(text)[0])));
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] });

const found = { answer: [], ready: [], rows: {}, busy: [], bytes: [] };
const wasm = new Map();
for (let round = 0; round < rounds; round++) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, serviceWorkers: 'block' });
  const page = await context.newPage();
  await page.addInitScript(() => {
    globalThis.busy = [];
    new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => globalThis.busy.push(duration))).observe({ type: 'longtask', buffered: true });
  });
  let bytes = 0;
  const sizes = [];
  page.on('requestfinished', (request) => sizes.push(request.sizes().then(({ responseBodySize }) => ({ url: request.url(), size: responseBodySize })).catch(() => undefined)));
  const start = performance.now();
  await page.goto(address);
  await page.waitForFunction(() => globalThis.lowshot?.state.model.status === 'ready', undefined, { polling: 10 });
  found.ready.push(performance.now() - start);
  await page.waitForFunction(() => document.querySelector('[data-testid="answer-best"]')?.dataset.name, undefined, { polling: 10 });
  found.answer.push(performance.now() - start);
  for (const one of await Promise.all(sizes)) {
    if (!one) continue;
    bytes += one.size;
    if (one.url.endsWith('.wasm')) wasm.set(path.basename(one.url), one.size);
  }
  found.bytes.push(bytes);
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'done', undefined, { timeout: 600_000 });
  for (const { method, result } of await page.evaluate(() => globalThis.lowshot.state.training.ladder)) (found.rows[method] ??= []).push(result.seconds);
  found.busy.push(Math.max(0, ...(await page.evaluate(() => globalThis.busy))));
  await context.close();
}
await browser.close();
server.kill();

console.log(`${rounds} cold rounds, median (best … worst), load ${loadavg()[0].toFixed(1)}`);
for (const [name, size] of wasm) {
  const raw = statSync(path.join(root, 'dist', 'assets', name)).size;
  console.log(`wasm fetched            ${name}: ${(raw / 1e6).toFixed(2)} MB, compressed ${(size / 1e6).toFixed(2)} MB`);
}
console.log(`fetched until an answer ${spread(found.bytes.map((value) => value / 1e6), 1)} MB, of which 18.2 MB are the model`);
console.log(`model ready             ${spread(found.ready)} ms`);
console.log(`first answer shown      ${spread(found.answer)} ms`);
for (const [method, seconds] of Object.entries(found.rows)) console.log(`${method.padEnd(24)}${spread(seconds, 2)} s, judged and learnt`);
console.log(`longest task            ${spread(found.busy)} ms on the main thread`);
