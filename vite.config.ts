import { defineConfig } from 'vitest/config';

import { assets } from './scripts/assets.mjs';
import { offline } from './scripts/offline.mjs';

/** Workers may share memory in a page that is served so; `lowshot serve` says the same. */
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/** The modules by names of their own, since no visitor needs all. */
const assetFileNames = ({ originalFileNames }: { originalFileNames: string[] }): string => {
  const module = originalFileNames.map((name) => /wasm\/(relaxed|threads|gpu)\//.exec(name)?.[1]).find(Boolean);
  return `assets/${module ?? '[name]'}-[hash][extname]`;
};

export default defineConfig({
  // Relative, so that the page works in any folder of any server.
  base: './',
  publicDir: 'www/public',
  server: { headers },
  preview: { headers },
  plugins: [assets(), offline()],
  build: {
    outDir: 'dist',
    target: 'es2023',
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      input: { index: 'index.html', sw: 'www/sw.ts' },
      output: {
        assetFileNames,
        // A service worker rules over the folder that it lies in.
        entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
      },
    },
  },
  worker: { format: 'es', rollupOptions: { output: { assetFileNames } } },
  test: { include: ['tests/web/unit/**/*.test.ts'], passWithNoTests: true },
});
