import { defineConfig } from 'vitest/config';

import { assets } from './scripts/assets.mjs';
import { offline } from './scripts/offline.mjs';

/** The module for GPUs by a name of its own, since not every visitor needs it. */
const assetFileNames = ({ originalFileNames }: { originalFileNames: string[] }): string =>
  originalFileNames.some((name) => name.includes('wasm/gpu')) ? 'assets/gpu-[hash][extname]' : 'assets/[name]-[hash][extname]';

export default defineConfig({
  // Relative, so that the page works in any folder of any server.
  base: './',
  publicDir: 'www/public',
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
