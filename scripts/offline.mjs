// The service worker's list of files, and the policy that keeps the page from sending anything anywhere.
//
// A Vite plugin, for the build alone: in development files change under their names.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { filesBelow, sha256 } from './shared.mjs';

/** What the page may do. `lowshot serve` says the same in a header; this holds wherever else it lies. */
const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "worker-src 'self'",
  "connect-src 'self' blob: https://huggingface.co https://*.huggingface.co https://*.hf.co",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/**
 * Needed at every visit; the model is kept elsewhere, and the module for GPUs is stored by those who have one. Of the two for the CPU
 * the service worker takes the one that its browser uses.
 */
const needed = (file) =>
  !/^(models|samples)\//.test(file) && !/\.(safetensors|txt|br|gz|map)$|\/vocab|^sw\.js$|^index\.html$/.test(file) && !/\/gpu-/.test(file);

export function offline() {
  return {
    name: 'lowshot-offline',
    apply: 'build',
    transformIndexHtml: () => [{ tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY }, injectTo: 'head-prepend' }],
    writeBundle({ dir }) {
      const files = filesBelow(dir).filter(needed).sort();
      const build = sha256(JSON.stringify([files, readFileSync(path.join(dir, 'index.html'), 'utf8')])).slice(0, 12);
      const worker = path.join(dir, 'sw.js');
      // With their quotes, of which only the minifier knows the kind.
      const put = (text, name, value) => text.replace(new RegExp(`(["'\`])%${name}%\\1`), () => JSON.stringify(value));
      const text = put(readFileSync(worker, 'utf8'), 'BUILD', build);
      writeFileSync(worker, put(text, 'FILES', JSON.stringify(['./', ...files])));
    },
  };
}
