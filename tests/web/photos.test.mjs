// Photos that cannot be opened, in whatever way they come: each is told of, and none takes another one with it.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { browser, open, state, until } from './support/browser.mjs';
import { drawn, gif, png, turned, vast } from './support/pictures.mjs';
import { root } from './support/samples.mjs';

const RED = [220, 20, 20];
const BLUE = [20, 20, 220];
const GREEN = [20, 180, 20];

/** Four that can be opened, by name. */
async function sound(page) {
  return {
    'moving.gif': gif(16, 12, [RED, BLUE]),
    'plain.png': png(30, 20, GREEN),
    'web.webp': readFileSync(path.join(root, 'samples', 'photos', 'cat-on-sofa.webp')),
    'turned.jpg': turned(await drawn(page, 'image/jpeg', 40, 20, RED, BLUE), 6),
  };
}

/** Seven that cannot, and what is said of each. */
async function broken(page) {
  const box = (kind) => Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from(`ftyp${kind}`), Buffer.alloc(500)]);
  return {
    'cut.jpg': [(await drawn(page, 'image/jpeg', 400, 300, RED, GREEN)).subarray(0, 1500), /^cut\.jpg: is a truncated JPEG .*fetch or export it again\.$/],
    'letter.jpg': [Buffer.from('This is no picture.\n'), /^letter\.jpg: is text, not an image: give a JPEG, PNG, .* file\.$/],
    'empty.png': [Buffer.alloc(0), /^empty\.png: is empty: fetch or export it again\.$/],
    'drawing.svg': [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /^drawing\.svg: is an SVG drawing.*: export it as PNG\.$/],
    'IMG_0001.HEIC': [box('heic'), /^IMG_0001\.HEIC: is a HEIC picture.*: save it as JPEG, PNG or WebP\.$/],
    'clip.mp4': [box('isom'), /^clip\.mp4: is a video, not an image: /],
    'vast.png': [vast(10_001, 10_001), /^vast\.png: is 10001 × 10001 pixels, over the limit of 100 megapixels: make it smaller first\.$/],
  };
}

const asFile = ([name, buffer]) => ({ name, mimeType: '', buffer });

/** The page with a project of two classes, and nothing in them. */
async function twoClasses(page) {
  await open(page);
  await page.evaluate(async () => {
    const { actions } = globalThis.lowshot;
    await actions.newProject();
    actions.addClass('ones');
    actions.addClass('others');
  });
}

/** Waits until so many photos are ready, and nothing is being added any more. */
async function added(page, count) {
  await page.waitForFunction(
    (count) => {
      const { project, adding } = globalThis.lowshot.state;
      const samples = project.classes.flatMap(({ samples }) => samples);
      return samples.length === count && samples.every(({ state }) => state === 'ready') && !adding;
    },
    count,
    { timeout: 60_000 },
  );
}

const card = (page, name) => page.locator(`[data-testid="class-card"][data-name="${name}"]`);

async function names(page) {
  return Object.fromEntries((await state(page)).project.classes.map(({ name, samples }) => [name, samples.map((sample) => sample.name)]));
}

/** The page's answer for a picture; it must not be disturbed by those that it could not open. */
async function goesOn(page) {
  const answer = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(50, 50);
    canvas.getContext('2d').fillRect(10, 10, 20, 20);
    return globalThis.lowshot.actions.classify(await canvas.convertToBlob());
  });
  assert.ok(Math.abs(answer.probabilities.reduce((sum, value) => sum + value, 0) - 1) < 1e-4);
}

/** The middle of a photo's thumbnail. */
function colourOf(page, name) {
  return page.evaluate(async (name) => {
    const { state, actions } = globalThis.lowshot;
    const { id } = state.project.classes.flatMap(({ samples }) => samples).find((sample) => sample.name === name);
    const image = new Image();
    image.src = await actions.thumbnail(id);
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const at = (x, y) => [...context.getImageData(Math.floor(x * image.width), Math.floor(y * image.height), 1, 1).data.slice(0, 3)];
    return { size: [image.width, image.height], middle: at(0.5, 0.5), top: at(0.5, 0.2), bottom: at(0.5, 0.8) };
  }, name);
}

function near(colour, expected) {
  assert.ok(colour.every((value, index) => Math.abs(value - expected[index]) < 30), `${colour} is not ${expected}`);
}

test('of photos of every kind the good ones are added, and each bad one is told of in one line', { timeout: 180_000 }, async (t) => {
  const { page } = await browser(t);
  await twoClasses(page);
  const [good, bad] = [await sound(page), await broken(page)];
  const files = Object.entries(bad).map(([name, [bytes]]) => [name, bytes]);
  // Mixed: a bad one before and behind each good one.
  Object.entries(good).forEach((entry, index) => files.splice(2 * index + 1, 0, entry));
  await card(page, 'ones').getByTestId('upload-input').setInputFiles(files.map(asFile));
  await added(page, 4);
  assert.deepEqual(await names(page), { ones: Object.keys(good), others: [] });

  const notice = page.getByTestId('notice').filter({ hasText: 'could not be added' });
  assert.equal(await notice.count(), 1);
  assert.match(await notice.innerText(), /^7 of 11 photos could not be added\./);
  const lines = await notice.locator('li').allInnerTexts();
  assert.equal(lines.length, 7);
  for (const [name, [, expected]] of Object.entries(bad)) assert.equal(lines.filter((line) => expected.test(line)).length, 1, `${name} is told of in ${JSON.stringify(lines)}`);

  // The first picture of several; the one that was held upright, upright.
  near((await colourOf(page, 'moving.gif')).middle, RED);
  near((await colourOf(page, 'plain.png')).middle, GREEN);
  const upright = await colourOf(page, 'turned.jpg');
  assert.deepEqual(upright.size, [20, 40]);
  near(upright.top, RED);
  near(upright.bottom, BLUE);
  const sizes = (await state(page)).project.classes[0].samples.map(({ name, width, height }) => [name, width, height]);
  assert.deepEqual(sizes.filter(([name]) => name !== 'web.webp'), [['moving.gif', 16, 12], ['plain.png', 30, 20], ['turned.jpg', 20, 40]]);
  await goesOn(page);

  // A few are told of one by one, and nothing was lost by it.
  await card(page, 'others').getByTestId('upload-input').setInputFiles([asFile(['drawing.svg', bad['drawing.svg'][0]]), asFile(['plain.png', good['plain.png']])]);
  await added(page, 5);
  const told = (await state(page)).notices.map(({ text }) => text);
  assert.equal(told.filter((text) => bad['drawing.svg'][1].test(text)).length, 1, told.join('\n'));

  // All that is there is there after a reload, and nothing else.
  await until(page, () => globalThis.lowshot.state.projects.find(({ id }) => id === globalThis.lowshot.state.project.id)?.samples === 5);
  await page.reload();
  await page.waitForFunction(() => globalThis.lowshot?.state.model.status === 'ready');
  await added(page, 5);
  assert.deepEqual(await names(page), { ones: Object.keys(good), others: ['plain.png'] });
});

test('photos are dropped on a class, pasted, and dropped as a tree of folders', { timeout: 180_000 }, async (t) => {
  const { page, context } = await browser(t);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await twoClasses(page);
  const [good, bad] = [await sound(page), await broken(page)];
  const folder = mkdtempSync(path.join(tmpdir(), 'lowshot-dropped-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name, bytes) => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), bytes);
    return path.join(folder, name);
  };
  const devtools = await context.newCDPSession(page);
  /** Real files from the disk, as a file manager gives them. */
  const drop = async (target, files) => {
    await target.scrollIntoViewIfNeeded();
    const box = await target.boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height / 2, 20)];
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop']) await devtools.send('Input.dispatchDragEvent', { type, x, y, data });
  };

  await drop(card(page, 'others'), [write('plain.png', good['plain.png']), write('drawing.svg', bad['drawing.svg'][0])]);
  await added(page, 1);
  assert.deepEqual(await names(page), { ones: [], others: ['plain.png'] });
  assert.match((await state(page)).notices.map(({ text }) => text).join('\n'), /^drawing\.svg: is an SVG drawing/m);

  // A picture from the clipboard, to the class that has the focus.
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(24, 18);
    canvas.getContext('2d').fillRect(0, 0, 9, 9);
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': await canvas.convertToBlob({ type: 'image/png' }) })]);
  });
  await page.mouse.move(2, 2);
  await card(page, 'ones').getByTestId('class-name').focus();
  await page.keyboard.press('Control+V');
  await added(page, 2);
  assert.deepEqual((await state(page)).project.classes[0].samples.map(({ width, height }) => [width, height]), [[24, 18]]);

  // Folders become classes by their names; one that is there already gets more.
  write('tree/apples/one.png', good['plain.png']);
  write('tree/apples/two.gif', good['moving.gif']);
  write('tree/apples/.DS_Store', Buffer.from('x'));
  write('tree/apples/cut.jpg', bad['cut.jpg'][0]);
  write('tree/deeper/pears/one.jpg', good['turned.jpg']);
  write('tree/deeper/pears/letter.jpg', bad['letter.jpg'][0]);
  write('tree/others/web.webp', good['web.webp']);
  await drop(page.locator('.header'), [path.join(folder, 'tree')]);
  await added(page, 6);
  const { others, apples, pears, ...rest } = await names(page);
  assert.deepEqual([others, apples.sort(), pears], [['plain.png', 'web.webp'], ['one.png', 'two.gif'], ['one.jpg']]);
  assert.deepEqual(Object.keys(rest), ['ones']);
  const told = (await state(page)).notices.map(({ text }) => text).join('\n');
  assert.match(told, /^cut\.jpg: /m);
  assert.match(told, /^letter\.jpg: /m);
  assert.doesNotMatch(told, /DS_Store/);
  await goesOn(page);
});

test('a photo that takes its Worker down takes no other one with it', { timeout: 180_000 }, async (t) => {
  const { page } = await browser(t);
  // The browser ends a Worker for want of memory: without a word, when it is asked for this one.
  await page.addInitScript(() => {
    const post = Worker.prototype.postMessage;
    globalThis.ended = 0;
    Worker.prototype.postMessage = function (message, ...rest) {
      post.call(this, message, ...rest);
      if (message?.name !== 'prepare' || message.arguments[1] !== 'heavy.png') return;
      globalThis.ended++;
      this.terminate();
    };
  });
  await twoClasses(page);
  const picture = png(30, 20, GREEN);
  const all = ['a.png', 'b.png', 'heavy.png', 'c.png', 'd.png'].map((name) => asFile([name, picture]));
  await card(page, 'ones').getByTestId('upload-input').setInputFiles(all);
  await added(page, 4);
  assert.deepEqual(await names(page), { ones: ['a.png', 'b.png', 'c.png', 'd.png'], others: [] });
  assert.equal(await page.evaluate(() => globalThis.ended), 2, 'it was tried twice');
  assert.match((await state(page)).notices.map(({ text }) => text).join('\n'), /^heavy\.png: this browser has not enough memory to open it; make it smaller\.$/m);
  await goesOn(page);
});

test('pictures that cannot be tried say so in their place', { timeout: 180_000 }, async (t) => {
  const { page } = await browser(t);
  await twoClasses(page);
  const [good, bad] = [await sound(page), await broken(page)];
  const files = [...Object.entries(good), ...Object.entries(bad).map(([name, [bytes]]) => [name, bytes])];
  const dropped = await page.evaluateHandle((files) => {
    const data = new DataTransfer();
    for (const [name, content] of files) data.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
    return data;
  }, files.map(([name, bytes]) => [name, bytes.toString('base64')]));
  await page.getByTestId('try').dispatchEvent('drop', { dataTransfer: dropped });
  const result = (name) => page.locator(`[data-testid="try-result"][data-file="${name}"]`);
  await page.waitForFunction(
    (count) => {
      const results = [...document.querySelectorAll('[data-testid="try-result"]')];
      return results.length === count && results.every(({ dataset }) => dataset.status !== 'waiting');
    },
    files.length,
    { timeout: 60_000 },
  );
  for (const name of Object.keys(good)) assert.equal(await result(name).getAttribute('data-status'), 'answered', name);
  for (const [name, [, expected]] of Object.entries(bad)) {
    assert.equal(await result(name).getAttribute('data-status'), 'unreadable', name);
    await result(name).getByRole('button').click();
    assert.match(await page.getByTestId('try-answer').innerText(), expected);
  }
  // They lie where they are told of, and nowhere else.
  assert.deepEqual((await state(page)).notices.filter(({ kind }) => kind === 'problem').map(({ text }) => text), []);
  await goesOn(page);
});
