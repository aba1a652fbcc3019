// The page in a real browser: node tests/web/run.mjs [NAME…] runs all tests, or those of which a name is part.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { findChromium } from './support/chromium.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '..', '..');
const program = path.join(root, 'target', 'release', process.platform === 'win32' ? 'lowshot.exe' : 'lowshot');

if (!findChromium()) {
  console.error('skipped: there is no Chromium; install it (Debian: apt-get install chromium) or say where it is in CHROMIUM');
  process.exit(process.env.CI ? 1 : 0);
}
if (!existsSync(program) || !existsSync(path.join(root, 'dist', 'index.html'))) {
  console.error('the program or the page has not been built: npm test does everything, in its order');
  process.exit(1);
}

const asked = process.argv.slice(2);
const files = readdirSync(here).filter((name) => name.endsWith('.test.mjs') && (asked.length === 0 || asked.some((part) => name.includes(part))));

const server = spawn(program, ['serve', '--port', '0', '--page', path.join(root, 'dist')], { stdio: ['ignore', 'pipe', 'inherit'] });
const address = await new Promise((resolve, reject) => {
  let said = '';
  server.stdout.on('data', (text) => {
    said += text;
    const found = /http:\/\/\S+/.exec(said);
    if (found) resolve(found[0]);
  });
  server.on('exit', (code) => reject(new Error(`lowshot serve ended with exit code ${code}`)));
});
// One after the other: there are two cores, and every test has a browser and its Workers.
const args = ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files.map((name) => path.join(here, name))];
const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, LOWSHOT_PAGE: address, LOWSHOT_PROGRAM: program } });
server.kill();
process.exit(status ?? 1);
