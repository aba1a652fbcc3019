// What the scripts share: running programs, steps with their names and times, sizes, and a cache beside the packages.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import zlib from 'node:zlib';

/** The repository. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** A place in the repository. */
export const at = (...parts) => path.join(root, ...parts);

/** Where what can be made again is kept between builds; `npm ci` empties it. */
export const cache = at('node_modules', '.cache', 'lowshot');

// A shell that was open while rustup was installed does not have its folder on the path yet.
const cargoBin = path.join(process.env.CARGO_HOME ?? path.join(homedir(), '.cargo'), 'bin');
if (existsSync(cargoBin)) process.env.PATH = [process.env.PATH, cargoBin].join(path.delimiter);

/** A reason to stop that is no fault of the script: one line for the user. */
export class Stop extends Error {}

/** Runs a program that shows what it does itself. Stops when it cannot be started or fails. */
export function run(program, args, options = {}) {
  const { status, signal, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options });
  const shown = [path.basename(program), ...args].join(' ');
  if (error) throw new Stop(`cannot run '${shown}': ${error.message}`);
  if (status !== 0) throw new Stop(`'${shown}' ended with ${signal ?? `exit code ${status}`}; its output is above`);
}

/** Runs a tool of node_modules. */
export const runNode = (tool, args, options) => run(process.execPath, [at('node_modules', tool), ...args], options);

/** What a program prints, or undefined when it is not there or fails. */
export function output(program, args) {
  const { status, stdout } = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** Stops with what to do unless cargo is there. */
export function needCargo() {
  if (output('cargo', ['--version']) === undefined) {
    throw new Stop('cargo is missing: install Rust with rustup (https://rustup.rs), then run this again');
  }
}

/** `npm ci`, unless what lies in node_modules is what the lock file says. */
export function install() {
  const installed = at('node_modules', '.package-lock.json');
  // Compared by content: a checkout makes every file new, and that alone is no reason to wait.
  const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  if (existsSync(installed)) {
    const there = packages(installed);
    const wanted = Object.entries(packages(at('package-lock.json')));
    const missing = wanted.some(([name, { version, optional }]) => name && !optional && there[name]?.version !== version);
    if (!missing) return;
  }
  const npm = process.env.npm_execpath;
  if (!npm) throw new Stop('the packages of package-lock.json are not installed: run npm ci');
  run(process.execPath, [npm, 'ci', '--no-audit', '--no-fund']);
}

/** Runs a script's work; says in one line why it stopped. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    console.error(`lowshot: ${error.message}`);
    process.exitCode = 1;
  }
}

/** Runs one named step and says how long it took. */
export async function step(name, work) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  console.log(`== ${name}: ${seconds.toFixed(1)} s`);
  return seconds;
}

/** SHA-256 in hexadecimal. */
export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Every file below a folder, sorted, as paths from it with '/'; none when it is not there. */
export function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  // Node 20.12 called the folder `parentPath`, before that `path`.
  const names = entries.map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)));
  return names.map((name) => name.split(path.sep).join('/')).sort();
}

/** Writes a whole file or none. */
export function write(file, bytes) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.tmp`, bytes);
  renameSync(`${file}.tmp`, file);
}

/** What was remembered by a name, and remembering it. */
export const remembered = (name) => (existsSync(path.join(cache, name)) ? readFileSync(path.join(cache, name)) : undefined);
export const remember = (name, bytes) => write(path.join(cache, name), bytes);

const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);

/** The compressed forms of a file, by the ending of their names. Kept by content: the modules take many seconds, and rarely change. */
export async function compressed(bytes) {
  const hash = sha256(bytes);
  const settle = async (ending, compress) => {
    const name = `compressed/${hash}.${ending}`;
    const there = remembered(name);
    if (there) return there;
    const made = await compress();
    remember(name, made);
    return made;
  };
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = zlib.constants;
  const params = { [BROTLI_PARAM_QUALITY]: 11, [BROTLI_PARAM_LGWIN]: 24, [BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const [br, gz] = await Promise.all([
    settle('br', () => brotli(bytes, { params })),
    settle('gz', () => gzip(bytes, { level: 9 })),
  ]);
  return { br, gz };
}

/** A size for people. */
export const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`);
