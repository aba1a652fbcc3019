// What is stored: refused, full, spoilt, from another version, and open in two tabs. Nothing is lost, and a line says what is wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PAGE, browser, open, ready, state, trained, until } from './support/browser.mjs';
import { noise } from './support/pictures.mjs';

const texts = async (page) => (await state(page)).notices.map(({ text }) => text);
const counts = async (page) => Object.fromEntries((await state(page)).project.classes.map(({ name, samples }) => [name, samples.length]));

/** The sample project, all of it, not being trained. */
async function openSample(page) {
  await open(page);
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'running');
  await page.evaluate(() => globalThis.lowshot.actions.stop());
  await trained(page);
  await saved(page, 40);
}

/** Waits until the project is stored with so many photos. */
async function saved(page, photos) {
  await page.waitForFunction(
    (photos) => {
      const { project, projects, adding } = globalThis.lowshot.state;
      const samples = project.classes.flatMap(({ samples }) => samples);
      return !adding && samples.length === photos && projects.find(({ id }) => id === project.id)?.samples === photos;
    },
    photos,
    { timeout: 60_000 },
  );
}

/** Puts `database(table, mode, work)` into the page: what `work` asks of a table is waited for. */
async function reachStorage(page) {
  await page.addInitScript(() => {
    globalThis.database = async (table, mode, work) => {
      const done = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
      const opened = await done(indexedDB.open('lowshot'));
      try {
        return await done(work(opened.transaction(table, mode).objectStore(table)));
      } finally {
        opened.close();
      }
    };
  });
}

test('a browser that stores nothing is said to, and the sample is learnt all the same', { timeout: 240_000 }, async (t) => {
  const { page } = await browser(t);
  await page.addInitScript(() => {
    localStorage.setItem('lowshot-settings', JSON.stringify({ methods: ['zero-shot', 'tip'] }));
    IDBFactory.prototype.open = () => {
      throw new DOMException('storage is switched off here', 'SecurityError');
    };
  });
  await open(page);
  assert.deepEqual(
    (await texts(page)).filter((text) => /does not let the page store anything/.test(text)),
    ['This browser does not let the page store anything (storage is switched off here): everything goes when this tab is closed. Save the project as a file to keep it.'],
  );
  assert.equal(await page.locator('.saved.memory').innerText(), 'Kept in memory only');
  const { ladder, status, used } = await trained(page);
  assert.equal(status, 'done');
  assert.deepEqual(ladder.map(({ method, status }) => [method, status]), [['zero-shot', 'done'], ['tip', 'done']]);
  assert.equal(used, 'tip');
  const answer = await page.evaluate(async () => globalThis.lowshot.actions.classify(await (await fetch(globalThis.lowshot.state.examples[0].url)).blob()));
  assert.equal(answer.method, 'tip');
  await page.getByTestId('model-badge').click();
  const storage = page.getByTestId('storage');
  assert.equal(await storage.getAttribute('data-mode'), 'memory');
  assert.match(await storage.innerText(), /refuses to store anything here: save your project to a file/);
  assert.equal(await page.getByTestId('offline').count(), 0, 'it does not claim to work offline');
});

test('when there is no more room adding stops with a line, and what was added stays', { timeout: 240_000 }, async (t) => {
  const { page, context } = await browser(t, { errors: [/Quota/] });
  const devtools = await context.newCDPSession(page);
  const origin = new URL(PAGE).origin;
  // From the beginning, since the browser looks only now and then how much room there is; the page with its model and sample takes 26 MB.
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 45e6 });
  await openSample(page);

  const photos = Array.from({ length: 32 }, (_, index) => ({ name: `large ${index}.png`, mimeType: 'image/png', buffer: noise(800, 600, index + 1) }));
  await page.locator('[data-testid="class-card"][data-name="Forest"]').getByTestId('upload-input').setInputFiles(photos);
  await page.waitForFunction(() => globalThis.lowshot.state.notices.some(({ text }) => /no more room/.test(text)) && !globalThis.lowshot.state.adding, undefined, { timeout: 120_000 });
  const { Forest: kept, ...others } = await counts(page);
  assert.ok(kept > 8 && kept < 40, `${kept - 8} of 32 were added`);
  const told = (await texts(page)).filter((text) => /no more room/.test(text));
  // A slow machine tries to store the project meanwhile, and says that first.
  const ofPhotos = told.filter((text) => !text.startsWith('The project could not be stored: '));
  assert.equal(ofPhotos[0], `${40 - kept} of 32 photos were not added: this browser gives the page no more room: delete projects or models that you do not need, or free some disk.`);
  const all = await counts(page);
  // What is there is there.
  assert.ok((await state(page)).project.classes.every(({ samples }) => samples.every(({ state }) => state === 'ready')));

  await devtools.send('Storage.overrideQuotaForOrigin', { origin });
  await page.waitForFunction((photos) => globalThis.lowshot.state.projects.some(({ samples }) => samples === photos), 32 + kept);
  await page.reload();
  await ready(page);
  assert.deepEqual(await counts(page), all);
  assert.deepEqual(Object.values(others), [8, 8, 8, 8]);
  await page.waitForFunction(() => globalThis.lowshot.state.project.classes.every(({ samples }) => samples.every(({ state }) => state === 'ready')));
  const sizes = await page.evaluate(async () => {
    const { state, actions } = globalThis.lowshot;
    const photos = await Promise.all(state.project.classes[0].samples.slice(8).map(({ id }) => actions.photo(id)));
    return photos.map((photo) => photo?.size);
  });
  assert.deepEqual(sizes, photos.slice(0, kept - 8).map(({ buffer }) => buffer.length), 'the photos are whole');
});

test('a spoilt piece of the model is found and fetched again, alone', { timeout: 180_000 }, async (t) => {
  const { page } = await browser(t);
  await reachStorage(page);
  await openSample(page);
  const KEY = 'demo\nmodel.safetensors\n1';
  const sha256 = () =>
    page.evaluate(async (key) => {
      const piece = await globalThis.database('pieces', 'readonly', (table) => table.get(key));
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await piece.bytes.arrayBuffer()));
      return { is: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''), saidToBe: piece.sha256, bytes: piece.bytes.size };
    }, KEY);
  const before = await sha256();
  assert.equal(before.is, before.saidToBe);
  assert.equal(before.bytes, 2 << 20);
  await page.evaluate(async (key) => {
    const piece = await globalThis.database('pieces', 'readonly', (table) => table.get(key));
    const bytes = new Uint8Array(await piece.bytes.arrayBuffer());
    for (let at = 1000; at < 1100; at++) bytes[at] ^= 0xff;
    await globalThis.database('pieces', 'readwrite', (table) => table.put({ ...piece, bytes: new Blob([bytes]) }));
  }, KEY);
  const spoilt = await sha256();
  assert.notEqual(spoilt.is, spoilt.saidToBe);

  const asked = [];
  page.on('request', (request) => {
    if (/model-.*\.safetensors|vocab|merges|config-/.test(request.url())) asked.push([new URL(request.url()).pathname.split('/').at(-1).split('-')[0], request.headers().range]);
  });
  await page.reload();
  await ready(page);
  assert.deepEqual(asked, [['model', `bytes=${2 << 20}-${(4 << 20) - 1}`]]);
  assert.deepEqual(await sha256(), before);
  await page.waitForFunction(() => globalThis.lowshot.state.examples.length > 0);
  const answer = await page.evaluate(async () => globalThis.lowshot.actions.classify(await (await fetch(globalThis.lowshot.state.examples[0].url)).blob()));
  assert.equal(answer?.probabilities.length, 5, (await texts(page)).join('\n'));
});

for (const { what, json, said } of [
  { what: 'no JSON', json: '{"schema": 1, "name": "My birds", "cl', said: /^A stored project cannot be opened: it is damaged .*\. It is left as it is\.$/ },
  { what: 'of a later version', json: JSON.stringify({ schema: 2, id: 'x', name: 'My birds', birds: [] }), said: /^A stored project cannot be opened: it was made by another version: reload the page to get the newest\. It is left as it is\.$/ },
]) {
  test(`a stored project that is ${what} is told of and left as it is, and the page opens`, { timeout: 180_000 }, async (t) => {
    const { page } = await browser(t);
    await reachStorage(page);
    await openSample(page);
    const { id } = (await state(page)).project;
    const row = await page.evaluate(async ([id, json]) => {
      await globalThis.lowshot.actions.newProject(); // so that nothing stores the other one any more
      const row = await globalThis.database('projects', 'readonly', (table) => table.get(id));
      await globalThis.database('projects', 'readwrite', (table) => table.put({ ...row, json, savedAt: Date.now() + 1e6 }));
      return { ...row, json, savedAt: 0 };
    }, [id, json]);
    const photos = () => page.evaluate((id) => globalThis.database('photos', 'readonly', (table) => table.index('group').count(id)), id);
    assert.equal(await photos(), 40);

    // Beside one that is sound, and alone.
    for (const alone of [false, true]) {
      if (alone) {
        // What is open must not store itself once more.
        await page.evaluate(() => {
          IDBObjectStore.prototype.put = () => {
            throw new DOMException('the tab is going', 'AbortError');
          };
        });
        for (const other of (await state(page)).projects) {
          if (other.id !== id) await page.evaluate((id) => globalThis.database('projects', 'readwrite', (table) => table.delete(id)), other.id);
        }
      }
      await page.reload();
      await ready(page);
      assert.equal((await texts(page)).filter((text) => said.test(text)).length, 1, (await texts(page)).join('\n'));
      const { project, projects } = await state(page);
      assert.notEqual(project.id, id);
      assert.ok(project.name, 'another one is open');
      const listed = projects.find((one) => one.id === id);
      assert.match(`${listed?.problem}`, /cannot be opened/);
      assert.deepEqual(await page.evaluate(async (id) => ({ ...(await globalThis.database('projects', 'readonly', (table) => table.get(id))), savedAt: 0 }), id), row);
      assert.equal(await photos(), 40, 'nor are its photos deleted');
    }
    // It is of use: a class with a photo, and an answer.
    const answer = await page.evaluate(async (photo) => {
      const { actions } = globalThis.lowshot;
      await actions.stop();
      await actions.newProject();
      const ids = ['ones', 'others'].map((name) => actions.addClass(name));
      const file = new File([Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0))], 'x.png');
      await actions.addPhotos(ids[0], [file]);
      return actions.classify(file);
    }, noise(20, 20, 1).toString('base64'));
    assert.deepEqual(await counts(page), { ones: 1, others: 0 });
    assert.equal(answer.probabilities.length, 2);
    // Whoever does not want it can delete it.
    await page.getByTestId('projects').click();
    const damaged = page.locator('[data-testid="project-row"]', { hasText: 'cannot be opened' });
    await damaged.getByTestId('delete-project').click();
    await damaged.getByTestId('delete-project-sure').click();
    await until(page, () => globalThis.lowshot.state.projects.every(({ problem }) => !problem));
    assert.equal(await photos(), 0);
  });
}

test('a project is open in one tab at a time, and no tab loses what another adds', { timeout: 240_000 }, async (t) => {
  const { page: first, context } = await browser(t);
  await openSample(first);
  const { project } = await state(first);

  const second = await context.newPage();
  await open(second);
  const other = await state(second);
  assert.notEqual(other.project.id, project.id, 'the same project is not open twice');
  assert.deepEqual(await texts(second), ['“Satellite tiles” is open in another tab, and goes on there. This is a new project.']);
  // Nor can it be opened or deleted there.
  for (const what of ['openProject', 'deleteProject']) {
    await second.evaluate(([what, id]) => globalThis.lowshot.actions[what](id), [what, project.id]);
    assert.equal((await state(second)).project.id, other.project.id);
    assert.match((await texts(second)).join('\n'), /^“Satellite tiles” is open in another tab: go on there, or close that tab first\.$/m);
  }

  // Both change theirs at the same time.
  const add = (page, which, photo) =>
    page.evaluate(
      async ([which, photo]) => {
        const { actions, state } = globalThis.lowshot;
        const id = state.project.classes[which]?.id ?? actions.addClass('mine');
        const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
        await actions.addPhotos(id, Array.from({ length: 5 }, (_, index) => new File([bytes], `new ${index}.png`)));
      },
      [which, photo.toString('base64')],
    );
  await Promise.all([add(first, 0, noise(40, 30, 1)), add(second, 0, noise(30, 40, 2))]);
  await Promise.all([saved(first, 45), saved(second, 5)]);
  for (const page of [first, second]) {
    await page.reload();
    await ready(page);
  }
  assert.deepEqual([(await state(first)).project.id, (await state(second)).project.id], [project.id, other.project.id], 'each comes back to its own');
  assert.deepEqual(await counts(first), { Forest: 13, 'Highway or Road': 8, 'Residential Buildings': 8, River: 8, 'Sea or Lake': 8 });
  assert.deepEqual(await counts(second), { mine: 5 });
  for (const page of [first, second]) await page.waitForFunction(() => globalThis.lowshot.state.project.classes.every(({ samples }) => samples.every(({ state }) => state === 'ready')));

  // As soon as the one tab is closed the other can have its project.
  await first.close();
  await second.evaluate((id) => globalThis.lowshot.actions.openProject(id), project.id);
  assert.equal((await state(second)).project.id, project.id);
  assert.equal((await counts(second)).Forest, 13);
});

test('everything that the browser has stored is forgotten when that is asked for twice', { timeout: 240_000 }, async (t) => {
  const { page } = await browser(t);
  await openSample(page);
  const before = await page.evaluate(() => {
    const { actions, state } = globalThis.lowshot;
    actions.changeSettings({ seed: 7 });
    actions.renameProject('Mine');
    return state.project.id;
  });
  await page.waitForFunction(() => globalThis.lowshot.state.projects.some(({ name }) => name === 'Mine'));
  await page.getByTestId('model-badge').click();
  await page.getByTestId('forget-everything').click();
  assert.equal((await state(page)).projects.length, 1, 'asked once, everything is still there');
  await Promise.all([page.waitForEvent('load'), page.getByTestId('forget-everything-sure').click()]);
  await ready(page);
  await saved(page, 40);
  const { project, projects, settings } = await state(page);
  assert.equal(settings.seed, 1);
  assert.equal(project.name, 'Satellite tiles');
  assert.deepEqual(projects.map(({ id }) => id), [project.id]);
  assert.notEqual(project.id, before);
});
