// One adapter file for the page and the program: the same answers, either way. And projects as files.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { browser, downloaded, open, samplesReady, state, trained } from './support/browser.mjs';
import { PROGRAM, root, samples } from './support/samples.mjs';

const NAMES = ['Forest', 'Highway or Road', 'Residential Buildings', 'River', 'Sea or Lake'];

function lowshot(...args) {
  const { status, stdout, stderr } = spawnSync(PROGRAM, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** What the page says of some files. */
async function answers(page, files) {
  const photos = files.map((file) => [path.basename(file), readFileSync(file).toString('base64')]);
  return page.evaluate(async (photos) => {
    const names = [];
    for (const [name, content] of photos) {
      const photo = new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name);
      const answer = await globalThis.lowshot.actions.classify(photo);
      names.push(answer.classes[answer.best].name);
    }
    return names;
  }, photos);
}

/** What the program says of them. */
function natively(adapter, files) {
  const said = JSON.parse(lowshot('classify', ...files, '--adapter', adapter, '--model', 'demo', '--json'));
  return said.map(({ classes }) => classes[0].name);
}

test('an adapter that the page exports gives the same answers natively, by every method', { timeout: 400_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  await samplesReady(page);
  await page.evaluate(async () => {
    globalThis.lowshot.actions.changeSettings({ loraSteps: 8, metaSteps: 20 });
    await globalThis.lowshot.actions.train();
  });
  await trained(page);
  const files = samples(NAMES).flatMap(({ others }) => others.slice(0, 8));
  const folder = mkdtempSync(path.join(tmpdir(), 'lowshot-exchange-'));
  for (const method of ['zero-shot', 'tip', 'meta', 'lora+bitfit']) {
    await page.evaluate((method) => globalThis.lowshot.actions.use(method), method);
    const { download, name } = await downloaded(page, () => page.getByTestId('export-adapter').click());
    assert.equal(name, 'satellite-tiles.safetensors');
    const adapter = path.join(folder, `${method}.safetensors`);
    await download.saveAs(adapter);
    assert.deepEqual(natively(adapter, files), await answers(page, files), method);
  }
  // `eval` on the whole data set of the package opens it too.
  const evaluated = JSON.parse(lowshot('eval', '--adapter', path.join(folder, 'meta.safetensors'), '--dataset', 'eurosat', '--root-path', path.join(root, 'samples'), '--json'));
  assert.ok(evaluated.n_test > 0, JSON.stringify(evaluated).slice(0, 300));
  rmSync(folder, { recursive: true });
});

test('an adapter that was trained natively answers in the page as it does natively', { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lowshot-exchange-'));
  const files = samples(NAMES).flatMap(({ others }) => others.slice(8, 16));
  const { page } = await browser(t);
  await open(page);
  await samplesReady(page);
  for (const method of ['meta', 'lora']) {
    const run = path.join(folder, method);
    lowshot('train', '--dataset', 'eurosat', '--root-path', path.join(root, 'samples'), '--shots', '4', '--method', method, '--iters', '8', '--out', run);
    const adapter = path.join(run, 'adapter.safetensors');
    if (method === 'meta') {
      // While photos are about to be learnt, which then is not done: there is another project.
      const bytes = readFileSync(adapter).toString('base64');
      await page.evaluate(async (bytes) => {
        const file = new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], 'adapter.safetensors');
        const opening = globalThis.lowshot.actions.importAdapter(file);
        await Promise.all([opening, globalThis.lowshot.actions.train()]);
      }, bytes);
    } else {
      await page.getByTestId('import-adapter-input').setInputFiles(adapter);
    }
    await page.waitForFunction((method) => globalThis.lowshot.state.training.used === method, method, { timeout: 60_000 });
    assert.equal((await state(page)).project.classes.length, 10);
    assert.deepEqual(await answers(page, files), natively(adapter, files), method);
  }
  rmSync(folder, { recursive: true });
});

test('a project is saved as one file and opened in another browser, with what it has learnt', { timeout: 300_000 }, async (t) => {
  const first = await browser(t);
  await open(first.page);
  await samplesReady(first.page);
  await first.page.evaluate(async () => {
    globalThis.lowshot.actions.changeSettings({ methods: ['zero-shot', 'tip', 'meta'] });
    await globalThis.lowshot.actions.train();
  });
  const { used } = await trained(first.page);
  const files = samples(NAMES).flatMap(({ others }) => others.slice(16, 20));
  const expected = await answers(first.page, files);
  // Going over to another project and back loses nothing of it.
  await first.page.evaluate(async () => {
    const { project, training } = globalThis.lowshot.state;
    await globalThis.lowshot.actions.newProject();
    if (globalThis.lowshot.state.training.ladder.length > 0) throw new Error('a new project has learnt something');
    await globalThis.lowshot.actions.openProject(project.id);
    if (globalThis.lowshot.state.training.used !== training.used) throw new Error(`${training.used} was learnt, and is lost`);
  });
  assert.deepEqual(await answers(first.page, files), expected);
  const { download, name } = await downloaded(first.page, () => first.page.getByTestId('save-project').click());
  const folder = mkdtempSync(path.join(tmpdir(), 'lowshot-exchange-'));
  const file = path.join(folder, name);
  await download.saveAs(file);

  const second = await browser(t);
  await open(second.page);
  await second.page.getByTestId('open-project-input').setInputFiles(file);
  await second.page.waitForFunction(() => globalThis.lowshot.state.notices.some(({ text }) => /is open/.test(text)), undefined, { timeout: 60_000 });
  const { project, training, projects } = await state(second.page);
  assert.equal(project.name, 'Satellite tiles');
  assert.equal(projects.length, 2, 'the one that was there is there still');
  assert.deepEqual(project.classes.map(({ name, samples }) => [name, samples.length]), NAMES.map((name) => [name, 8]));
  assert.equal(training.used, used);
  assert.deepEqual(await answers(second.page, files), expected);
  rmSync(folder, { recursive: true });
});
