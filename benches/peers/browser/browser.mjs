// Chromium, a page for each contender, and a bound on every call.

import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', '--enable-unsafe-webgpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // Nothing may come from elsewhere: a library that asks a CDN fails instead of being measured with its network.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

const within = (seconds, what, promise) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not finish in ${seconds} s`)), seconds * 1e3);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

export async function launch(executablePath, address, limit) {
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
  const session = await browser.newBrowserCDPSession();
  const elsewhere = new Set();
  const problems = new Map();

  return {
    version: browser.version(),
    elsewhere,
    problems,
    close: () => browser.close(),

    /// Processor seconds of all of the browser's processes so far. Only one contender works at a time: a difference is its own.
    async processorSeconds() {
      const { processInfo } = await session.send('SystemInfo.getProcessInfo');
      return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    },

    /// A contender's page in a context of its own: empty caches, and a process of its own.
    async open({ name, options }) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const note = (text) => problems.set(name, [...(problems.get(name) ?? []), text]);
      page.on('request', (request) => {
        const url = request.url();
        if (!url.startsWith(address) && !/^(blob|data):/.test(url)) elsewhere.add(url);
      });
      page.on('console', (message) => ['error', 'warning'].includes(message.type()) && note(message.text()));
      page.on('pageerror', (error) => note(String(error)));
      const call = (method, argument) =>
        within(limit, method, page.evaluate(
          ([method, argument]) => globalThis.contender[method](argument), [method, argument],
        ));
      try {
        await page.goto(`${address}/page.html?options=${encodeURIComponent(JSON.stringify(options))}`);
        await page.waitForFunction(() => globalThis.contender, null, { timeout: limit * 1e3 });
      } catch (error) {
        await context.close();
        throw error;
      }
      return { call, close: () => context.close() };
    },
  };
}
