// npm run package: the npm package in target/package, as `npm pack` takes it: the client with its types, its Worker, all modules
// and the demo model.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { at, filesBelow, main, runNode, step } from './shared.mjs';
import { buildModules } from './wasm.mjs';

export const PACKAGE = at('target', 'package');

/** Beside the compiled code, at the same places as here, since addresses are relative. */
const COPIED = ['www/wasm', 'models/demo-clip', 'LICENSE-APACHE', 'LICENSE-MIT'];

export async function buildPackage({ cpuOnly = false } = {}) {
  await step('wasm', () => buildModules({ cpuOnly }));
  await step('package', () => {
    rmSync(PACKAGE, { recursive: true, force: true });
    mkdirSync(PACKAGE, { recursive: true });
    runNode('typescript/bin/tsc', ['-p', 'tsconfig.package.json']);
    for (const name of filesBelow(PACKAGE).filter((file) => file.endsWith('.js'))) {
      // The compiler rewrites imports, but not the address of the Worker.
      const file = path.join(PACKAGE, name);
      writeFileSync(file, readFileSync(file, 'utf8').replaceAll("'./worker.ts'", "'./worker.js'"));
    }
    for (const name of COPIED) {
      const filter = (source) => !/stamp\.json$|tokenizer\.json$/.test(source);
      cpSync(at(name), path.join(PACKAGE, name), { recursive: true, filter });
    }
    cpSync(at('www', 'engine', 'README.md'), path.join(PACKAGE, 'README.md'));
    const { name, version, description, license, dependencies } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
    const client = './www/engine/lowshot';
    const manifest = {
      name,
      version,
      description,
      license,
      type: 'module',
      exports: { '.': { types: `${client}.d.ts`, default: `${client}.js` } },
      types: `${client}.d.ts`,
      files: ['www', 'models', 'LICENSE-APACHE', 'LICENSE-MIT'],
      // What the client itself imports; the rest is the page's.
      dependencies: { fflate: dependencies.fflate, idb: dependencies.idb },
    };
    writeFileSync(path.join(PACKAGE, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  });
  console.log(`the npm package lies in ${path.relative(at('.'), PACKAGE)}: npm pack or npm install it from there`);
  return PACKAGE;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(() => buildPackage({ cpuOnly: process.argv.includes('--cpu-only') }));
}
