// The package's satellite tiles by class.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
/** The native program. */
export const PROGRAM = process.env.LOWSHOT_PROGRAM ?? path.join(root, 'target', 'release', 'lowshot');
const folder = path.join(root, 'samples', 'eurosat');

/** Paths of some classes' photos: `shots` of the training split, `others` of the test split. */
export function samples(names) {
  const split = JSON.parse(readFileSync(path.join(folder, 'split_zhou_EuroSAT.json'), 'utf8'));
  const of = (list, name) => list.filter((entry) => entry[2] === name).map(([file]) => path.join(folder, '2750', file));
  return names.map((name) => ({ name, shots: of(split.train, name), others: of(split.test, name) }));
}
