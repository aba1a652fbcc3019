import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  publicDir: 'www/public',
  build: { outDir: 'dist', target: 'es2023', assetsInlineLimit: 0 },
  worker: { format: 'es' },
});
