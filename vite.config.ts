import { defineConfig } from 'vitest/config';

import { assets } from './scripts/assets.mjs';

export default defineConfig({
  // Relative, so that the page works in any folder of any server.
  base: './',
  publicDir: 'www/public',
  plugins: [assets()],
  build: { outDir: 'dist', target: 'es2023', assetsInlineLimit: 0, reportCompressedSize: false },
  worker: { format: 'es' },
  test: { include: ['tests/web/unit/**/*.test.ts'], passWithNoTests: true },
});
