// What a compiled module was made from: the files that the compiler says it has read, and one hash over them.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { sha256 } from './shared.mjs';

/** The files below `root` of the compiler's list (`lowshot.d`, one rule of make), as paths from there with '/'. */
export function filesRead(rule, root) {
  // Make escapes spaces in names; behind the first colon that a space follows are the files.
  const list = rule.slice(rule.indexOf(': ') + 2).trim();
  const files = list.split(/(?<!\\)\s+/).map((file) => path.relative(root, file.replaceAll('\\ ', ' ')));
  return files.filter((file) => file && !file.startsWith('..') && !path.isAbsolute(file)).map((file) => file.split(path.sep).join('/'));
}

/** One hash over the names and contents of files below `root`, and over whatever else matters. */
export function fingerprint(root, files, ...more) {
  const contents = (file) => (existsSync(path.join(root, file)) ? sha256(readFileSync(path.join(root, file))) : '');
  return sha256(JSON.stringify([files.map((file) => [file, contents(file)]), more]));
}
