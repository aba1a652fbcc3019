// npm run build [-- --cpu-only] [-- --force]: the page, complete, in dist.

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { at, cache, compressed, filesBelow, main, remember, remembered, runNode, sha256, size, step } from './shared.mjs';
import { buildModules } from './wasm.mjs';

/** What the page is made of. */
const INPUTS = ['www', 'scripts', 'samples', 'models/demo-clip'];
const SINGLE = ['index.html', 'package-lock.json', 'tsconfig.json', 'vite.config.ts'];

/** What compression makes smaller. Weights are left as they are: a tenth less, for more time than loopback takes. */
const COMPRESSIBLE = /\.(css|html|js|json|map|md|mjs|svg|txt|wasm|webmanifest)$/;

/** One hash over all inputs. */
function inputs() {
  const files = [...SINGLE, ...INPUTS.flatMap((folder) => filesBelow(at(folder)).map((file) => `${folder}/${file}`))];
  return sha256(files.map((file) => `${file} ${existsSync(at(file)) ? sha256(readFileSync(at(file))) : ''}\n`).join(''));
}

/** Lays FILE.br and FILE.gz beside each file of a folder that becomes smaller. */
async function compress(folder) {
  const sums = { raw: 0, br: 0 };
  const files = filesBelow(folder).filter((file) => COMPRESSIBLE.test(file));
  await Promise.all(
    files.map(async (file) => {
      const place = path.join(folder, file);
      const bytes = readFileSync(place);
      if (bytes.length <= 1024) return;
      for (const [ending, smaller] of Object.entries(await compressed(bytes))) {
        if (smaller.length < 0.95 * bytes.length) writeFileSync(`${place}.${ending}`, smaller);
        if (ending === 'br' && path.extname(file) !== '.map') {
          sums.raw += bytes.length;
          sums.br += smaller.length;
        }
      }
    }),
  );
  console.log(`${files.length} compressible files: ${size(sums.raw)}, with brotli ${size(sums.br)}`);
}

/** Builds what is not up to date. */
export async function buildPage({ cpuOnly = false, force = false } = {}) {
  await step('wasm', () => buildModules({ cpuOnly }));
  await step('types', () => runNode('typescript/bin/tsc', ['--noEmit']));
  await step('page', async () => {
    const now = inputs();
    // The program that holds the page is linked again when its files are new, so what is the same is left alone.
    if (!force && existsSync(at('dist', 'index.html')) && remembered('page')?.toString() === now) {
      console.log('dist is up to date');
      return;
    }
    remember('page', '');
    // Made elsewhere and then moved: a page that is being served or tested is never half there.
    const fresh = path.join(cache, 'dist');
    runNode('vite/bin/vite.js', ['build', '--logLevel', 'warn', '--emptyOutDir', '--outDir', fresh]);
    await compress(fresh);
    rmSync(at('dist'), { recursive: true, force: true });
    renameSync(fresh, at('dist'));
    remember('page', now);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(() => buildPage({ cpuOnly: process.argv.includes('--cpu-only'), force: process.argv.includes('--force') }));
}
