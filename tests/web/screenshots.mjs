// The pictures of the README: node tests/web/screenshots.mjs, while `lowshot serve` serves the page at LOWSHOT_PAGE.

import path from 'node:path';

import { chromium } from 'playwright-core';

import { PAGE, open, trained } from './support/browser.mjs';
import { chromiumPath } from './support/chromium.mjs';
import { root } from './support/samples.mjs';

const FOLDER = path.join(root, 'docs', 'page');
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] });

async function shot(page, name, options = {}) {
  // Thumbnails come when they are in sight.
  await page.waitForTimeout(700);
  await page.screenshot({ path: path.join(FOLDER, `${name}.jpg`), type: 'jpeg', quality: 84, ...options });
}

const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, deviceScaleFactor: 1.25 });
const page = await context.newPage();
await open(page, PAGE);
await page.waitForFunction(() => globalThis.lowshot.state.training.curve?.method === 'lora+bitfit' && globalThis.lowshot.state.training.curve.losses.length > 30, undefined, { timeout: 120_000 });
await shot(page, 'learning');
await trained(page);
await page.getByTestId('example').nth(3).click();
await page.getByText('Where it looked').click();
await page.waitForSelector('[data-testid="heat"]');
await page.getByTestId('try').scrollIntoViewIfNeeded();
await shot(page, 'try');
await page.getByTestId('insight').scrollIntoViewIfNeeded();
await page.evaluate(() => document.querySelector('[data-testid="insight"]').scrollIntoView({ block: 'start' }));
await shot(page, 'insight');
await page.evaluate(() => scrollTo(0, 0));
await page.getByTestId('model-badge').click();
await shot(page, 'models');
await page.keyboard.press('Escape');
await page.emulateMedia({ colorScheme: 'dark' });
await page.setViewportSize({ width: 390, height: 844 });
await page.evaluate(() => document.querySelector('[data-testid="ladder"]').scrollIntoView({ block: 'start' }));
await shot(page, 'phone');
await browser.close();
