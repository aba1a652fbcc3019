// It does not break: a tab that is closed, a Worker that is killed, a GPU that goes away, in the middle of training.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser, open, ready, state, trained, until } from './support/browser.mjs';
import { tiles, tiny } from './support/tiny.mjs';

/** Methods that take long enough to be interrupted, in few steps. */
const SETTINGS = { methods: ['tip', 'lora+bitfit'], loraSteps: 16 };

/** Begins to train the sample project, and waits until training through the towers is under way and has left a checkpoint. */
async function inTheMiddle(page, settings = SETTINGS) {
  // The sample begins to learn by itself.
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'running');
  await page.evaluate(async (settings) => {
    const { actions } = globalThis.lowshot;
    actions.changeSettings(settings);
    void actions.train();
  }, settings);
  await until(page, async () => {
    const { training, project } = globalThis.lowshot.state;
    if (training.curve?.method !== 'lora+bitfit') return false;
    const database = await new Promise((resolve) => (indexedDB.open('lowshot').onsuccess = ({ target }) => resolve(target.result)));
    const request = database.transaction('learnt').objectStore('learnt').get(`${project.id}\ncheckpoint`);
    const found = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    database.close();
    return found !== undefined;
  });
}

const outcome = ({ ladder }) => ladder.map(({ method, result }) => [method, result?.predictions.map(({ predicted }) => predicted)]);

test('a tab that is closed in the middle of training goes on when it is opened again, to the same result', { timeout: 400_000 }, async (t) => {
  const undisturbed = await browser(t);
  await open(undisturbed.page);
  await inTheMiddle(undisturbed.page);
  const expected = outcome(await trained(undisturbed.page));
  await undisturbed.context.close();

  const { page } = await browser(t);
  await open(page);
  await inTheMiddle(page);
  const before = await state(page);
  await page.reload();
  await ready(page);
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'running');
  const after = await state(page);
  assert.equal(after.project.id, before.project.id);
  assert.equal(after.training.ladder[0].status, 'done', 'what was done before is not done again');
  const training = await trained(page);
  assert.deepEqual(outcome(training), expected);
  // What was learnt before the reload and after it answers.
  for (const method of ['tip', 'lora+bitfit']) {
    const answer = await page.evaluate(async (method) => {
      await globalThis.lowshot.actions.use(method);
      return globalThis.lowshot.actions.classify(await (await fetch(globalThis.lowshot.state.examples[0]?.url ?? 'samples/eurosat/SeaLake/SeaLake_1038.jpg')).blob());
    }, method);
    assert.equal(answer.method, method);
    assert.ok(Math.abs(answer.probabilities.reduce((sum, value) => sum + value, 0) - 1) < 1e-4);
  }
});

test('a Worker that the browser kills is replaced, and training goes on from its checkpoint', { timeout: 300_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  await inTheMiddle(page);
  const killed = await page.evaluate(() => globalThis.lowshot.state.training.curve.losses.length);
  // From inside, and without a word: as when the browser ends it for want of memory.
  await Promise.all(page.workers().map((worker) => worker.evaluate(() => self.close()).catch(() => undefined)));
  const { ladder, status } = await trained(page);
  assert.equal(status, 'done');
  assert.ok(killed > 0);
  assert.deepEqual(ladder.map(({ status }) => status), ['done', 'done']);
  assert.match((await state(page)).notices.map(({ text }) => text).join(), /worker stopped and was started again/);
  const answer = await page.evaluate(async () => globalThis.lowshot.actions.classify(await (await fetch(globalThis.lowshot.state.examples[0].url)).blob()));
  assert.equal(answer.probabilities.length, 5);
});

test('a trap in the module is survived', { timeout: 200_000 }, async (t) => {
  const { page } = await browser(t, { errors: [/unreachable|RuntimeError|trap/i] });
  await open(page);
  await page.evaluate(async () => {
    await globalThis.lowshot.actions.stop();
  });
  const trap = (worker) =>
    worker.evaluate(() => {
      // A module whose only function traps.
      const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0, 0, 11]);
      const { t } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
      queueMicrotask(() => t());
      return true;
    });
  // A helper hears nothing, because it computes for ever; it ends with the Worker that it helps.
  const heard = await Promise.all(page.workers().map((worker) => trap(worker).catch(() => false)));
  assert.equal(heard.filter(Boolean).length, 2, 'the Worker with the model, and the one that opens photos');
  const answer = await page.evaluate(async () => globalThis.lowshot.actions.classify(await (await fetch(globalThis.lowshot.state.examples[0].url)).blob()));
  assert.equal(answer.probabilities.length, 5);
});

test('a GPU that goes away is asked for again, and training goes on', { timeout: 900_000 }, async (t) => {
  const { page } = await browser(t, { gpu: true, errors: [/device.*(lost|destroy)/i, /Failed to map buffer/] });
  await open(page);
  await page.evaluate(() => globalThis.lowshot.actions.stop());
  await tiny(page, 'webgpu');
  await tiles(page, 3, 4);
  await page.evaluate(async () => {
    globalThis.lowshot.actions.changeSettings({ methods: ['lora+bitfit'], loraSteps: 8 });
    void globalThis.lowshot.actions.train();
  });
  await page.waitForFunction(() => (globalThis.lowshot.state.training.curve?.losses.length ?? 0) >= 2, undefined, { timeout: 300_000 });
  const destroyed = await Promise.all(
    page.workers().map((worker) =>
      worker.evaluate(() => {
        const devices = self.gpuDevices ?? [];
        for (const device of devices) device.destroy();
        return devices.length;
      }),
    ),
  );
  assert.equal(destroyed.reduce((sum, count) => sum + count, 0), 1);
  const training = await trained(page, 600_000);
  assert.equal(training.status, 'done', training.problem);
  assert.deepEqual(training.ladder.map(({ status }) => status), ['done']);
  const { model, notices } = await state(page);
  assert.equal(model.info.device, 'webgpu');
  assert.match(notices.map(({ text }) => text).join(), /GPU went away/);
});
