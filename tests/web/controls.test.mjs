// The controls of learning and trying: pause, resume, stop; camera; words; undo; results as a table.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { browser, downloaded, open, state, trained } from './support/browser.mjs';
import { PROGRAM, root } from './support/samples.mjs';

/** Begins to train through the towers, and waits for some steps. */
async function underWay(page) {
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'running');
  await page.evaluate(() => {
    globalThis.lowshot.actions.changeSettings({ methods: ['tip', 'lora+bitfit'], loraSteps: 40 });
    void globalThis.lowshot.actions.train();
  });
  await page.waitForFunction(() => globalThis.lowshot.state.training.curve?.method === 'lora+bitfit' && globalThis.lowshot.state.training.curve.losses.length > 2, undefined, { timeout: 120_000 });
}

const done = (page) => page.evaluate(() => globalThis.lowshot.state.training.ladder.find(({ method }) => method === 'lora+bitfit').progress?.fraction);

test('training is paused, goes on, and is stopped with what is done', { timeout: 240_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  await underWay(page);
  await page.getByTestId('pause').click();
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'paused');
  // What was under way when it was paused is still told of.
  await page.waitForTimeout(1500);
  const paused = await done(page);
  // While it is paused, the rest of the page works.
  const answer = await page.evaluate(async () => globalThis.lowshot.actions.classify(await (await fetch(globalThis.lowshot.state.examples[0].url)).blob()));
  assert.equal(answer.method, 'tip');
  await page.waitForTimeout(1500);
  assert.equal(await done(page), paused, 'nothing is done while it is paused');
  await page.getByTestId('resume').click();
  await page.waitForFunction((paused) => (globalThis.lowshot.state.training.ladder[1].progress?.fraction ?? 1) > paused, paused, { timeout: 60_000 });
  await page.getByTestId('stop').click();
  const { status, ladder, used } = await trained(page);
  assert.equal(status, 'done');
  assert.deepEqual(ladder.map(({ status }) => status), ['done', 'skipped']);
  assert.equal(used, 'tip');
  // What was stopped can be run by itself.
  await page.evaluate(() => globalThis.lowshot.actions.changeSettings({ loraSteps: 3 }));
  await page.getByTestId('run-lora+bitfit').click();
  await page.waitForFunction(() => globalThis.lowshot.state.training.ladder[1].status === 'done', undefined, { timeout: 120_000 });
});

test('a model that is loaded anew in the middle of training goes on with it', { timeout: 240_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  await underWay(page);
  const before = await done(page);
  await page.getByTestId('model-badge').click();
  await page.getByTestId('weights').getByText('f16', { exact: true }).click();
  await page.waitForFunction(() => globalThis.lowshot.state.model.info?.weights === 'f16');
  await page.waitForFunction((before) => (globalThis.lowshot.state.training.ladder[1]?.progress?.fraction ?? 0) > before, before, { timeout: 60_000 });
  const { status, ladder } = await trained(page);
  assert.equal(status, 'done');
  assert.deepEqual(ladder.map(({ status }) => status), ['done', 'done']);
  assert.deepEqual((await state(page)).notices.map(({ text }) => text), []);
});

test('the camera fills a class while a button is held, and is answered live', { timeout: 180_000 }, async (t) => {
  const { page } = await browser(t, { permissions: ['camera'] });
  await open(page);
  await page.evaluate(async () => {
    await globalThis.lowshot.actions.stop();
    await globalThis.lowshot.actions.newProject();
    globalThis.lowshot.actions.addClass('me');
    globalThis.lowshot.actions.addClass('you');
  });
  await page.getByTestId('webcam').first().click();
  const shutter = page.getByTestId('shutter');
  await shutter.waitFor();
  await page.waitForFunction(() => document.querySelector('video')?.readyState >= 2);
  const box = await shutter.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.waitForTimeout(1500);
  await page.mouse.up();
  await page.waitForFunction(() => globalThis.lowshot.state.project.classes[0].samples.length >= 3, undefined, { timeout: 60_000 });
  // The preview is a mirror.
  assert.match(await page.evaluate(() => getComputedStyle(document.querySelector('video')).transform), /matrix\(-1/);
  await page.keyboard.press('Escape');
  await page.getByTestId('try-camera').click();
  await page.getByTestId('live-answer').waitFor({ timeout: 30_000 });
  await page.waitForFunction(() => document.querySelector('[data-testid="answer-best"]')?.dataset.name !== undefined);
});

const WORDS = ['airplane', 'cat', 'pizza', 'umbrella'];

/** Opens the sample of photos without learning from it. */
async function openPhotos(page) {
  await open(page);
  await page.evaluate(async () => {
    await globalThis.lowshot.actions.stop();
    await globalThis.lowshot.actions.openSample('photos');
  });
}

/** Probabilities of the words for a photo, by the page. */
async function byWords(page, file) {
  const answer = await page.evaluate(async ([file, words]) => globalThis.lowshot.actions.classifyByText(await (await fetch(file)).blob(), words), [file, WORDS]);
  assert.deepEqual(answer.classes.map(({ name }) => name), WORDS);
  return answer.probabilities;
}

/** The same natively. */
function nativelyByWords(file, ...options) {
  const { status, stdout, stderr } = spawnSync(PROGRAM, ['classify', path.join(root, file), '--classes', WORDS.join(), '--json', ...options], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const { classes } = JSON.parse(stdout)[0];
  return WORDS.map((word) => classes.find(({ name }) => name === word).probability);
}

const apart = (some, others) => Math.max(...some.map((value, at) => Math.abs(value - others[at])));

test('words that the visitor types are told apart without any photo, as natively', { timeout: 120_000 }, async (t) => {
  const { page } = await browser(t);
  await openPhotos(page);
  for (const name of ['airplane-wing-at-dusk', 'cat-on-sofa', 'homemade-pizza']) {
    const file = `samples/photos/${name}.webp`;
    const [here, natively] = [await byWords(page, file), nativelyByWords(file)];
    assert.ok(apart(here, natively) < 1e-4, `${file}: ${here}, natively ${natively}`);
  }
  // Whose pictures they are is said where they are shown.
  await page.getByTestId('credits').locator('summary').click();
  assert.equal(await page.getByTestId('credits').getByRole('link').count(), 12);
  assert.match(await page.getByTestId('credits').innerText(), /cat on sofa: Emma0mb, CC BY 4.0/);
});

test('with weights in int8 answers are those of the program with such weights, and the ladder learns', { timeout: 240_000 }, async (t) => {
  const { page } = await browser(t);
  await openPhotos(page);
  const file = 'samples/photos/cat-on-sofa.webp';
  const exact = await byWords(page, file);
  await page.getByTestId('model-badge').click();
  await page.getByTestId('weights').getByText('int8', { exact: true }).click();
  await page.waitForFunction(() => globalThis.lowshot.state.model.info?.weights === 'int8');
  assert.match(await page.getByTestId('models-panel').innerText(), /CPU \(1 thread, SIMD\) in f32 with weights in int8/);
  const [here, natively] = [await byWords(page, file), nativelyByWords(file, '--weights', 'int8')];
  assert.ok(apart(here, natively) < 1e-4, `${here}, natively ${natively}`);
  assert.ok(apart(here, exact) > 1e-3, `${here} are not those of exact weights: ${exact}`);
  await page.evaluate(async () => {
    const { actions } = globalThis.lowshot;
    await actions.openSample('eurosat');
    await actions.stop();
    actions.changeSettings({ methods: ['tip', 'lora+bitfit'], loraSteps: 20 });
    await actions.train();
  });
  const { ladder } = await trained(page);
  assert.deepEqual(ladder.map(({ status }) => status), ['done', 'done']);
  for (const { method, result } of ladder) assert.ok(result.accuracy > 0.5, `${method}: ${result.accuracy}`);
  // Whoever learns as soon as the model is loaded anew is not given back what was learnt before.
  const restored = await page.evaluate(async () => {
    const { actions } = globalThis.lowshot;
    await actions.compute({ weights: 'f16' });
    actions.changeSettings({ methods: ['tip'] });
    await actions.train();
    return globalThis.lowshot.state.training.ladder.map(({ method }) => method);
  });
  assert.deepEqual(restored, ['tip']);
});

test('undo brings back what was deleted, redo deletes it again, and the results are a table', { timeout: 180_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'running');
  await page.evaluate(async () => {
    globalThis.lowshot.actions.changeSettings({ methods: ['zero-shot', 'tip'] });
    await globalThis.lowshot.actions.train();
  });
  await trained(page);
  const { path } = await downloaded(page, () => page.getByTestId('export-results').click());
  const lines = readFileSync(path, 'utf8').trim().split('\r\n');
  assert.equal(lines[0], 'method,photo,label,prediction,confidence');
  assert.equal(lines.length, 1 + 2 * 40);
  const { training } = await state(page);
  const right = lines.slice(1).map((line) => line.split(',')).filter(([method, , label, prediction]) => method === 'tip' && label === prediction);
  assert.equal(right.length, training.ladder[1].result.correct);

  assert.equal(await page.getByTestId('undo').isDisabled(), true, 'the sample itself is nothing to undo');
  await page.getByTestId('delete-class').first().click();
  assert.equal((await state(page)).project.classes.length, 4);
  assert.equal(await page.getByTestId('stale').isVisible(), true, 'what was learnt is of other classes');
  await page.getByTestId('undo').click();
  const { project } = await state(page);
  assert.deepEqual(project.classes.map(({ samples }) => samples.length), [8, 8, 8, 8, 8]);
  await page.waitForFunction(() => !globalThis.lowshot.state.training.stale);
  await page.getByTestId('redo').click();
  assert.equal((await state(page)).project.classes.length, 4);
  assert.equal(await page.getByTestId('redo').count(), 0);
  await page.keyboard.press('Control+z');
  await page.keyboard.press('Control+Shift+z');
  assert.equal((await state(page)).project.classes.length, 4);
  await page.keyboard.press('Control+z');
  assert.equal((await state(page)).project.classes.length, 5);
});
