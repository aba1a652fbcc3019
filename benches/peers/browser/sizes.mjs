// What a side fetched until its first classification, by the server's log: the page's and the tiles' own bytes left out.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

/// Bytes of a file with brotli at its best quality. That takes a minute for the peer's wasm, so it is remembered by content.
function compressed(file, memory) {
  const data = readFileSync(file);
  const known = existing(memory);
  const key = createHash('sha256').update(data).digest('hex');
  if (known[key] === undefined) {
    const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT, BROTLI_MAX_QUALITY } = constants;
    const params = { [BROTLI_PARAM_QUALITY]: BROTLI_MAX_QUALITY, [BROTLI_PARAM_SIZE_HINT]: data.length };
    known[key] = brotliCompressSync(data, { params }).length;
    writeFileSync(memory, JSON.stringify(known));
  }
  return known[key];
}

function existing(memory) {
  try {
    return JSON.parse(readFileSync(memory, 'utf8'));
  } catch {
    return {};
  }
}

const kindOf = (file) => {
  if (file.endsWith('.wasm')) return 'wasm';
  if (/\.m?js$/.test(file)) return 'script';
  return 'model';
};

/// A log's requests by file: [{ kind, file, raw, brotli }], the largest first. A file fetched in pieces counts once.
export function sizes(log, memory) {
  const files = new Map();
  for (const { prefix, file, bytes } of log) {
    if (!file || prefix === '/' || prefix === '/tiles/') continue;
    files.set(file, (files.get(file) ?? 0) + bytes);
  }
  return [...files]
    .map(([file, raw]) => ({ kind: kindOf(file), file: basename(file), raw, brotli: compressed(file, memory) }))
    .sort((a, b) => b.raw - a.raw);
}
