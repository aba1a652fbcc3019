// Serves the benchmark on loopback and keeps a log of what was fetched, from which the sizes are counted.

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.jpg': 'image/jpeg',
};

/// The file under one of `mounts` ({'/prefix/': folder}) that a path names, by the longest prefix; null if it is none.
function resolve(mounts, path) {
  const prefix = Object.keys(mounts).filter((mount) => path.startsWith(mount)).sort((a, b) => b.length - a.length)[0];
  if (!prefix) return null;
  const file = normalize(join(mounts[prefix], path.slice(prefix.length)));
  return file.startsWith(normalize(mounts[prefix] + sep)) ? { prefix, file } : null;
}

/// `bytes=A-B` or `bytes=A-` within `size`; null for the whole file.
function range(header, size) {
  const found = /^bytes=(\d+)-(\d*)$/.exec(header ?? '');
  if (!found) return null;
  const end = Math.min(found[2] ? Number(found[2]) : size - 1, size - 1);
  return Number(found[1]) <= end ? { start: Number(found[1]), end } : null;
}

export async function serve(mounts) {
  const log = [];
  const server = createServer(async (request, response) => {
    // Isolated, so that the peer may use threads; nothing kept between visits except by the pages themselves.
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.setHeader('Cache-Control', 'no-cache');
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const found = resolve(mounts, path);
    const about = found && (await stat(found.file).catch(() => null));
    if (!about?.isFile()) {
      log.push({ path, missing: true });
      response.writeHead(404).end();
      return;
    }
    const part = range(request.headers.range, about.size);
    const { start, end } = part ?? { start: 0, end: about.size - 1 };
    if (part) response.setHeader('Content-Range', `bytes ${start}-${end}/${about.size}`);
    response.writeHead(part ? 206 : 200, {
      'Content-Type': TYPES[extname(found.file)] ?? 'application/octet-stream',
      'Content-Length': end - start + 1,
      'Accept-Ranges': 'bytes',
    });
    if (request.method === 'HEAD' || about.size === 0) {
      response.end();
      return;
    }
    log.push({ path, prefix: found.prefix, file: found.file, bytes: end - start + 1 });
    createReadStream(found.file, { start, end }).on('error', () => response.destroy()).pipe(response);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return { url: `http://127.0.0.1:${server.address().port}`, log, close: () => server.close() };
}
