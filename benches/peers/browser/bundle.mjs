// Lowshot's client with its Worker, modules and demo model as a bundler packs them for somebody's page: out/lowshot/lowshot.js and
// what it fetches.

import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '..', '..', '..');
const { build } = await import(pathToFileURL(path.join(root, 'node_modules', 'vite', 'dist', 'node', 'index.js')).href);

await build({
  root,
  configFile: false,
  base: './',
  publicDir: false,
  logLevel: 'warn',
  worker: { format: 'es' },
  build: {
    outDir: path.join(here, 'out', 'lowshot'),
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    rollupOptions: {
      input: path.join(root, 'www', 'engine', 'lowshot.ts'),
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: 'lowshot.js' },
    },
  },
});
