// What the page is served with and git holds elsewhere: the sample pictures, and lists of them.
//
// A Vite plugin: copies into dist, and serves the same addresses in `vite dev`.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { at, filesBelow } from './shared.mjs';

/** The sample project's classes, as the split's third column calls them. */
const CLASSES = ['Forest', 'Highway or Road', 'Residential Buildings', 'River', 'Sea or Lake'];
const SHOTS = 8;

const json = (value) => Buffer.from(`${JSON.stringify(value, null, 1)}\n`);

/** The sample project: classes with their photos, and others that they are tried on. */
function eurosat() {
  const split = JSON.parse(readFileSync(at('samples', 'eurosat', 'split_zhou_EuroSAT.json'), 'utf8'));
  const photos = (part, name) => {
    const entries = split[part].filter(([, , called]) => called === name);
    return entries.map(([file]) => `samples/eurosat/${file}`);
  };
  return CLASSES.map((name) => {
    const [shots, others] = [photos('train', name).slice(0, SHOTS), photos('test', name)];
    if (shots.length < SHOTS || others.length === 0) throw new Error(`the sample split has too few photos of '${name}'`);
    return { name, photos: shots, others };
  });
}

/** The everyday photos with what their licences ask to be said. */
function photos() {
  const folder = at('samples', 'photos');
  const text = readFileSync(path.join(folder, 'ATTRIBUTION.md'), 'utf8');
  // Addresses hold parentheses, so a link ends where the next one begins.
  const entry = /^- \*\*(\S+)\.webp\*\* — \[(.+?)\]\((\S+)\), \[(.+?)\]\((\S+)\)\.$/gm;
  const found = [...text.matchAll(entry)].map(([, name, credit, source, license, licenseUrl]) => ({
    file: `samples/photos/${name}.webp`,
    title: name.replaceAll('-', ' '),
    credit,
    license,
    licenseUrl,
    source,
  }));
  for (const file of filesBelow(folder).filter((file) => file.endsWith('.webp'))) {
    if (!found.some((photo) => photo.file.endsWith(`/${file}`))) {
      throw new Error(`samples/photos/ATTRIBUTION.md does not say whose ${file} is, in the form of its other lines`);
    }
  }
  return found;
}

/** Everything by its address: a path to copy, or the bytes. */
function everything() {
  const files = new Map();
  const classes = eurosat();
  for (const address of classes.flatMap((entry) => [...entry.photos, ...entry.others])) {
    files.set(address, at(address.replace('samples/eurosat/', 'samples/eurosat/2750/')));
  }
  // Its licence asks to be kept with the pictures.
  files.set('samples/eurosat/LICENSE.txt', at('samples', 'eurosat', 'LICENSE'));
  files.set('samples/eurosat.json', json({ classes }));
  const everyday = photos();
  everyday.forEach(({ file }) => files.set(file, at(file)));
  files.set('samples/photos/ATTRIBUTION.md', at('samples', 'photos', 'ATTRIBUTION.md'));
  files.set('samples/photos.json', json({ photos: everyday }));
  return files;
}

const TYPES = {
  '.jpg': 'image/jpeg',
  '.json': 'application/json',
  '.md': 'text/markdown; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.webp': 'image/webp',
};

/** The plugin. */
export function assets() {
  return {
    name: 'lowshot-assets',
    configureServer(server) {
      let files;
      server.middlewares.use((request, response, next) => {
        files ??= everything();
        const address = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(1);
        const file = files.get(address);
        if (file === undefined) return next();
        response.setHeader('Content-Type', TYPES[path.extname(address)] ?? 'application/octet-stream');
        response.end(typeof file === 'string' ? readFileSync(file) : file);
      });
    },
    // Copied rather than emitted, so that Vite does not list three hundred photos.
    writeBundle({ dir }) {
      for (const [address, file] of everything()) {
        const target = path.join(dir, address);
        mkdirSync(path.dirname(target), { recursive: true });
        if (typeof file === 'string') copyFileSync(file, target);
        else writeFileSync(target, file);
      }
    },
  };
}
