// A model so small that even a GPU in software trains it, and photos for it.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { root, samples } from './samples.mjs';

/** Written by `cargo test --release --test session`. */
export const TINY = path.join(root, 'target', 'tmp', 'browser', 'tiny');

/** Goes over to it on a device, as when somebody drops its files. */
export async function tiny(page, device) {
  if (!existsSync(TINY)) throw new Error('the tiny model is missing: run cargo test --release --test session first');
  const files = readdirSync(TINY).map((name) => [name, readFileSync(path.join(TINY, name)).toString('base64')]);
  const { status, info, problem } = await page.evaluate(
    async ([files, device]) => {
      const { actions } = globalThis.lowshot;
      actions.changeSettings({ device });
      await actions.useModelFiles(files.map(([name, content]) => new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name)));
      return globalThis.lowshot.state.model;
    },
    [files, device],
  );
  if (status !== 'ready' || info.device !== device) throw new Error(`the tiny model is not ready on ${device}: ${problem ?? JSON.stringify(info)}`);
}

/** A new project of satellite tiles, so many of each class. */
export async function tiles(page, classes, each) {
  const names = ['Forest', 'Highway or Road', 'Residential Buildings', 'River', 'Sea or Lake'].slice(0, classes);
  const photos = samples(names).map(({ name, shots }) => [name, shots.slice(0, each).map((file) => [path.basename(file), readFileSync(file).toString('base64')])]);
  await page.evaluate(async (photos) => {
    const { actions } = globalThis.lowshot;
    await actions.newProject();
    for (const [name, files] of photos) {
      const id = actions.addClass(name);
      await actions.addPhotos(id, files.map(([name, content]) => new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name)));
    }
  }, photos);
}
