// The npm package as somebody else meets it: packed, installed into a new Vite project, built, and the README's example run.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { buildPackage } from '../../scripts/package.mjs';
import { browser } from './support/browser.mjs';
import { root, samples } from './support/samples.mjs';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };

function run(program, args, cwd) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  assert.equal(status, 0, `${program} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

function serve(folder) {
  const server = createServer((request, response) => {
    const name = new URL(request.url, 'http://localhost').pathname;
    const file = path.join(folder, name.endsWith('/') ? `${name}index.html` : name);
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(name === '/favicon.ico' ? 204 : 404).end();
    response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
    return createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ server, address: `http://127.0.0.1:${server.address().port}/` })));
}

test('the packed package works in a new Vite project, types included', { timeout: 600_000 }, async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lowshot-package-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const built = await buildPackage();
  run('npm', ['pack', built, '--pack-destination', folder], root);
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const project = path.join(folder, 'project');
  mkdirSync(project);
  writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'elsewhere', private: true, type: 'module' }));
  run('npm', ['install', '--no-audit', '--no-fund', path.join(folder, tarball)], project);
  // The tools are the ones that are here already; the package and what it needs came from npm.
  for (const tool of ['vite', 'typescript']) {
    if (!existsSync(path.join(project, 'node_modules', tool))) symlinkSync(path.join(root, 'node_modules', tool), path.join(project, 'node_modules', tool));
  }
  const readme = readFileSync(path.join(built, 'README.md'), 'utf8');
  const [example, config] = [...readme.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);
  writeFileSync(path.join(project, 'vite.config.js'), config);
  writeFileSync(path.join(project, 'index.html'), '<!doctype html><title>elsewhere</title><script type="module" src="/main.ts"></script>');
  // The example takes the visitor's files; here they come from the test.
  const given = 'declare const catPhotos: File[], dogPhotos: File[], anotherPhoto: File;\n';
  const names = "import { Lowshot } from 'lowshot';\n";
  const body = example.replace(names, '');
  writeFileSync(path.join(project, 'example.ts'), `${names}${given}export async function example(): Promise<void> {\n${body}\n}\n`);
  const main = `${names}
async function photosOf(files: string[]): Promise<File[]> {
  return files.map((content, index) => new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], \`\${index}.jpg\`));
}
Object.assign(globalThis, { run: async (first: string[], second: string[], another: string) => {
  const [catPhotos, dogPhotos, [anotherPhoto]] = [await photosOf(first), await photosOf(second), await photosOf([another])];
  const said: string[] = [];
  const console = { log: (...all: unknown[]) => said.push(all.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join(' ')) };
  ${body.replaceAll('anotherPhoto', 'anotherPhoto!')}
  const file = await lowshot.saveProject('cats and dogs');
  const bytes = await lowshot.exportAdapter();
  const other = await Lowshot.load({ device: 'cpu' });
  await other.openProject(file);
  const [again] = await other.classify(anotherPhoto!);
  await other.importAdapter(bytes);
  const [imported] = await other.classify(anotherPhoto!);
  other.dispose();
  lowshot.dispose();
  return { said, again, imported, answer, size: bytes.length };
} });
`;
  writeFileSync(path.join(project, 'main.ts'), main);
  const options = { compilerOptions: { target: 'ES2023', module: 'ESNext', moduleResolution: 'bundler', strict: true, noEmit: true, lib: ['ES2023', 'DOM', 'DOM.Iterable'], types: [] }, files: ['main.ts', 'example.ts'] };
  writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify(options));
  run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], project);
  run(process.execPath, [path.join(root, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'], project);
  const { server, address } = await serve(path.join(project, 'dist'));
  t.after(() => server.close());
  const { page } = await browser(t);
  await page.goto(address);
  const [forest, lake] = samples(['Forest', 'Sea or Lake']).map(({ shots, others }) => [...shots.slice(0, 5), others[0]].map((file) => readFileSync(file).toString('base64')));
  await page.waitForFunction(() => globalThis.run !== undefined);
  const found = await page.evaluate(([first, second, another]) => globalThis.run(first, second, another), [forest.slice(0, 5), lake.slice(0, 5), lake[5]]);
  console.log(found.said.join('; '));
  assert.match(found.said[0], /^\d+ of 10 told right$/);
  assert.equal(found.answer.best, 'dog', 'the lake, which was called so');
  for (const answer of [found.again, found.imported]) assert.equal(answer.best, 'dog');
  assert.ok(Math.abs(found.again.probabilities.dog - found.answer.probabilities.dog) < 1e-5, 'a project keeps the calibration');
});
