// For everybody: any width, light and dark, keyboard alone, screen readers.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { browser, open, trained, until } from './support/browser.mjs';
import { root } from './support/samples.mjs';

const AXE = path.join(root, 'node_modules', 'axe-core', 'axe.min.js');

async function learnt(page) {
  await open(page);
  await page.waitForFunction(() => globalThis.lowshot.state.training.status === 'running');
  await page.evaluate(async () => {
    const { actions } = globalThis.lowshot;
    actions.changeSettings({ methods: ['zero-shot', 'tip'] });
    await actions.train();
  });
  await trained(page);
}

test('nothing is wider than the screen, from small phones to wide screens', { timeout: 120_000 }, async (t) => {
  const { page } = await browser(t);
  await learnt(page);
  for (const width of [320, 360, 414, 768, 1024, 1440, 2200]) {
    await page.setViewportSize({ width, height: 800 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0, `at ${width} px it is ${overflow} px too wide`);
    assert.ok(await page.getByTestId('train').isVisible(), `at ${width} px there is the Train button`);
  }
});

test('no rule of accessibility is broken, light or dark, with panels open or closed', { timeout: 180_000 }, async (t) => {
  const { page } = await browser(t, { bypassCSP: true });
  await learnt(page);
  const source = readFileSync(AXE, 'utf8');
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // Colours on their way from one scheme to the other are neither's.
    await until(page, () => document.getAnimations().length === 0);
    for (const panel of [undefined, 'model-badge', 'projects']) {
      if (panel) await page.getByTestId(panel).click();
      const broken = await page.evaluate(async (source) => {
        // In the page's own realm, once.
        if (!globalThis.axe) (0, eval)(source);
        const { violations } = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] });
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).slice(0, 3).join(' | ')}`);
      }, source);
      assert.deepEqual(broken, [], `${colorScheme}, ${panel ?? 'closed'}`);
      if (panel) await page.keyboard.press('Escape');
    }
  }
});

test('a class is made, named, filled and undone by keyboard alone', { timeout: 120_000 }, async (t) => {
  const { page } = await browser(t);
  await open(page);
  await page.evaluate(async () => {
    await globalThis.lowshot.actions.stop();
    await globalThis.lowshot.actions.newProject();
  });
  const tabTo = async (testId) => {
    const there = () => page.evaluate((testId) => document.activeElement?.dataset.testid === testId, testId);
    for (let presses = 0; presses < 60 && !(await there()); presses++) await page.keyboard.press('Tab');
    assert.ok(await there(), `Tab reaches ${testId}`);
  };
  await tabTo('add-class');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.type('tea cups');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => globalThis.lowshot.state.project.classes[0]?.name === 'tea cups');
  await tabTo('add-class');
  await page.keyboard.press('Enter');
  // The new class's name is ready to be typed.
  await page.waitForFunction(() => document.activeElement?.dataset.testid === 'class-name');
  await page.keyboard.type('saucers');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => globalThis.lowshot.state.project.classes[1]?.name === 'saucers');
  await page.evaluate(() => document.activeElement.blur());
  for (let changes = 0; changes < 3; changes++) await page.keyboard.press('Control+z');
  await page.waitForFunction(() => globalThis.lowshot.state.project.classes.length === 0);
});
