// What a visitor does: open, see the sample project learn, make classes of one's own, train, try.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { browser, open, state, trained } from './support/browser.mjs';
import { samples } from './support/samples.mjs';

test('the sample project learns before the visitor’s eyes and tells photos it has not seen', { timeout: 300_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  const training = await trained(page);
  assert.equal(training.status, 'done');
  const results = Object.fromEntries(training.ladder.map(({ method, result }) => [method, result]));
  assert.deepEqual(Object.keys(results), ['zero-shot', 'tip', 'meta', 'lora+bitfit']);
  for (const result of Object.values(results)) {
    assert.equal(result.n, 40);
    assert.ok(result.interval[0] <= result.accuracy && result.accuracy <= result.interval[1]);
  }
  assert.ok(results['meta'].correct > results['zero-shot'].correct + 8, 'Meta-Adapter is well above the names alone');
  // What was learnt is shown, row by row.
  for (const { method, result } of training.ladder) {
    const row = page.getByTestId(`rung-${method}`);
    assert.equal(await row.getAttribute('data-status'), 'done');
    assert.match(await row.innerText(), new RegExp(`${result.correct} of 40`));
  }
  // Twenty tiles of the same five classes that are in none of them.
  const right = await page.evaluate(async () => {
    const { actions, state } = globalThis.lowshot;
    let right = 0;
    for (const { url, truth } of state.examples) {
      const answer = await actions.classify(await (await fetch(url)).blob());
      right += answer.classes[answer.best].name === truth ? 1 : 0;
    }
    return { right, of: state.examples.length };
  });
  assert.equal(right.of, 20);
  assert.ok(right.right >= 12, `${right.right} of 20`);
});

test('three classes of one’s own are learnt from eight photos each', { timeout: 400_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  await page.evaluate(async () => {
    await globalThis.lowshot.actions.stop();
    await globalThis.lowshot.actions.newProject();
  });
  const kinds = samples(['Annual Crop Land', 'Industrial Buildings', 'Pasture Land']);
  for (const { name, shots } of kinds) {
    await page.getByTestId('add-class').click();
    const card = page.getByTestId('class-card').last();
    await card.getByTestId('class-name').fill(name);
    await card.getByTestId('class-name').press('Enter');
    await card.getByTestId('upload-input').setInputFiles(shots.slice(0, 8));
  }
  await page.waitForFunction(() => globalThis.lowshot.state.project.classes.every(({ samples }) => samples.length === 8 && samples.every(({ state }) => state === 'ready')));
  assert.deepEqual((await state(page)).project.classes.map(({ name }) => name), kinds.map(({ name }) => name));
  await page.getByTestId('train').click();
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'running');
  const { ladder, used } = await trained(page);
  assert.ok(ladder.every(({ status }) => status === 'done'), JSON.stringify(ladder.map(({ method, status, problem }) => [method, status, problem])));
  // The page is given sixty test files.
  const others = kinds.flatMap(({ name, others }) => others.slice(0, 20).map((file) => ({ name, bytes: readFileSync(file).toString('base64'), file: path.basename(file) })));
  assert.equal(others.length, 60);
  const right = {};
  for (const { method } of ladder) {
    right[method] = await page.evaluate(
      async ([method, others]) => {
        const { actions } = globalThis.lowshot;
        await actions.use(method);
        let right = 0;
        for (const { name, bytes, file } of others) {
          const photo = new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], file);
          const answer = await actions.classify(photo);
          right += answer.classes[answer.best].name === name ? 1 : 0;
        }
        return right;
      },
      [method, others],
    );
  }
  console.log('of 60 test files right:', JSON.stringify(right), 'in use:', used);
  assert.ok(right['meta'] >= right['zero-shot'], JSON.stringify(right));
  assert.ok(right[used] > 40, `${used} tells ${right[used]} of 60`);
});
