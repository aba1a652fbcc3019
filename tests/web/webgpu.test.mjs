// Gradients through CLIP's towers on WebGPU, by the browser's software adapter, beside the same training natively on the CPU
// (tests/session/browser.rs has left it in target/tmp/browser).

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { browser } from './support/browser.mjs';
import { root } from './support/samples.mjs';
import { tensors, worker } from './support/worker.mjs';

const reference = path.join(root, 'target', 'tmp', 'browser');
/** Relative to the largest value of a tensor. */
const TOLERANCE = 1e-3;

function files(folder) {
  return readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name)).toString('base64')]);
}

test('a LoRA step on WebGPU has the loss and gradients of the native CPU, and fifty steps reduce the loss', { timeout: 900_000 }, async (t) => {
  assert.ok(existsSync(path.join(reference, 'training.json')), 'cargo test --release --test session has to run first');
  const training = JSON.parse(readFileSync(path.join(reference, 'training.json'), 'utf8'));
  const photos = training.photos.map((file) => readFileSync(path.join(root, 'samples', 'eurosat', '2750', file)).toString('base64'));
  const { page } = await browser(t, { gpu: true, errors: [/404/] });
  const { gpu } = await worker(page, 'gpu');
  assert.equal(gpu.problem, undefined);
  assert.ok(gpu.usable && gpu.software, JSON.stringify(gpu));
  assert.ok(gpu.f16 || gpu.f16Problem === 'it has no shader-f16', JSON.stringify(gpu));
  const found = await page.evaluate(
    async ([model, photos, { options, classes, template }]) => {
      const files = new Map(model.map(([name, content]) => [name, bytes(content)]));
      const info = await ask('load', 'tiny', files, 'webgpu', 'f32', 'auto');
      await ask('setClasses', classes.map((name) => ({ name, prompts: [template.replace('{}', name)] })));
      const views = [];
      for (const photo of photos) views.push((await ask('prepare', new Blob([bytes(photo)]), 'tile.jpg', info.preprocess, 0)).pixels);
      const joined = (wanted) => {
        const all = new Uint8Array(wanted.length * views[0].length);
        wanted.forEach(({ example }, place) => all.set(views[example], place * views[0].length));
        return all;
      };
      const features = await ask('imageFeatures', joined(views.map((_, example) => ({ example }))));
      await ask('setExamples', features, Uint32Array.from(photos, (_, photo) => Math.floor(photo / (photos.length / classes.length))));
      await ask('begin', options);
      const losses = [];
      let pixels;
      let first;
      const start = performance.now();
      while (losses.length < 50) {
        const slice = await ask('next', 0, pixels);
        losses.push(...slice.losses);
        if (losses.length === 1) first ??= base64(await ask('checkpoint'));
        pixels = slice.wanted && joined(slice.wanted);
      }
      return { device: info.device, losses, first, seconds: (performance.now() - start) / 1000 };
    },
    [files(path.join(reference, 'tiny')), photos, training],
  );
  assert.equal(found.device, 'webgpu');
  const off = Math.abs(found.losses[0] - training.losses[0]) / training.losses[0];
  assert.ok(off < TOLERANCE, `loss ${found.losses[0]}, natively ${training.losses[0]}`);
  // After one step the first moment of AdamW is a tenth of the gradient.
  const [ours, theirs] = [tensors(Buffer.from(found.first, 'base64')), tensors(readFileSync(path.join(reference, 'first-step.safetensors')))];
  assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
  let [worst, compared] = [0, 0];
  for (const [name, expected] of theirs) {
    if (!name.startsWith('moment_1.')) continue;
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (largest === 0) continue;
    const got = ours.get(name);
    const far = expected.reduce((most, value, at) => Math.max(most, Math.abs(value - got[at])), 0) / largest;
    worst = Math.max(worst, far);
    compared++;
    assert.ok(far < TOLERANCE, `${name}: off by ${far} of its largest value`);
  }
  const sum = (values) => values.reduce((sum, value) => sum + value, 0);
  const [early, late] = [sum(found.losses.slice(0, 5)), sum(found.losses.slice(45))];
  console.log(`loss off by ${off.toExponential(1)}, gradients of ${compared} tensors by ${worst.toExponential(1)} at most; 50 steps: ${(early / 5).toFixed(3)} to ${(late / 5).toFixed(3)} in ${found.seconds.toFixed(0)} s`);
  assert.ok(compared > 10, `only ${compared} tensors were compared`);
  assert.ok(late < 0.8 * early, `${found.losses}`);
});
