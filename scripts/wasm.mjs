// npm run wasm [-- --cpu-only]: the core as four WebAssembly modules, www/wasm/cpu, relaxed, threads and gpu.
//
// A module is left alone while everything that it was made from is the same. Cargo alone would compile the first two each time: they
// differ in a flag only, so one takes the other's place in its folder.

import { cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { filesRead, fingerprint } from './fingerprint.mjs';
import { Stop, at, compressed, install, main, needCargo, output, root, run, size, write } from './shared.mjs';

const TARGET = 'wasm32-unknown-unknown';

// No wasm-opt after it: LLVM has done its work. Measured, it takes 80 s a module at -O3, makes the CPU's no faster and what a visitor
// fetches a little more (1.41 MB with brotli, 1.37 without it). Names are most of what it would have removed.
const OPTIONS = ['--remove-name-section', '--remove-producers-section'];

// One memory for several Workers, as large as 32 bits address, and what starts a thread in it.
const SHARED = [
  ...['--shared-memory', '--import-memory', '--max-memory=4294967296'],
  ...['__wasm_init_tls', '__tls_size', '__tls_align', '__tls_base'].map((name) => `--export=${name}`),
].flatMap((option) => ['-C', `link-arg=${option}`]);

/**
 * For threads everything is compiled with atomic instructions, the standard library too, which comes without them. Cargo does that on
 * request, and calls it unstable: with the variable the compiler of rust-toolchain.toml takes the request, and no other is needed.
 */
const THREADED = {
  args: ['-Z', 'build-std=std,panic_abort', '--config', `target.${TARGET}.rustflags=["-C","target-feature=+atomics,+bulk-memory"]`],
  env: { RUSTC_BOOTSTRAP: '1' },
  // What depends on the variable is kept apart.
  profile: 'threads',
};

// Where Cargo is told how to optimise, over the profile `release`. That one serves the program and the modules, because the macros and build
// scripts of what they depend on are compiled once for each profile.
const CPU = 'scripts/cpu.toml';
const GPU = 'scripts/gpu.toml';

const MODULES = {
  cpu: { settings: CPU, features: 'web' },
  // The same with relaxed SIMD, where multiplication and addition are one instruction. A browser that lacks it refuses the whole module.
  relaxed: { settings: CPU, features: 'web', flags: ['-C', 'target-feature=+relaxed-simd'] },
  // The same once more on several cores, where a page may share memory.
  threads: { settings: CPU, features: 'threads', flags: ['-C', 'target-feature=+relaxed-simd', ...SHARED], built: THREADED },
  gpu: { settings: GPU, features: 'webgpu' },
};

/** What every module depends on beside the files that the compiler reads. */
const SETTINGS = ['Cargo.toml', 'Cargo.lock', '.cargo/config.toml', 'rust-toolchain.toml', 'scripts/wasm.mjs', CPU, GPU];

/** The version that the crate was locked to; the tool must be of just this one. */
function bindgenVersion() {
  const found = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(readFileSync(at('Cargo.lock'), 'utf8').replaceAll('\r\n', '\n'));
  if (!found) throw new Stop('Cargo.lock names no wasm-bindgen: it is damaged, get it again with git checkout Cargo.lock');
  return found[1];
}

/** The wasm-bindgen tool: from the path, or from target/tools, where it is installed if need be. */
function bindgen() {
  const version = bindgenVersion();
  const own = at('target', 'tools', 'bin', process.platform === 'win32' ? 'wasm-bindgen.exe' : 'wasm-bindgen');
  const fits = (tool) => output(tool, ['--version']) === `wasm-bindgen ${version}`;
  const there = ['wasm-bindgen', own].find(fits);
  if (there) return there;
  console.log(`wasm-bindgen ${version} is not here yet: installing it into target/tools (some minutes, once)`);
  // Not --locked: its lock file names versions that have been withdrawn.
  // Without what its test runner fetches browsers' drivers with.
  const args = ['install', 'wasm-bindgen-cli', '--version', version, '--no-default-features', '--bin', 'wasm-bindgen'];
  run('cargo', [...args, '--root', at('target', 'tools')], { env: { ...process.env, ...QUICK } });
  if (!fits(own)) throw new Stop(`wasm-bindgen ${version} was installed but does not run: remove target/tools and try again`);
  return own;
}

// The tool runs for a second at a time, so compiling it well would cost more than it gives.
const QUICK = { CARGO_PROFILE_RELEASE_OPT_LEVEL: '1', CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16', CARGO_PROFILE_RELEASE_LTO: 'off' };

/** Installs Rust's standard library for the browser, and its source for threads, if they are missing. */
function needTarget() {
  const sysroot = output('rustc', ['--print', 'sysroot']);
  const missing = (folder) => !sysroot || !existsSync(path.join(sysroot, 'lib', 'rustlib', ...folder));
  const needed = [
    { what: `target ${TARGET}`, folder: [TARGET], add: ['target', 'add', TARGET] },
    { what: 'rust-src', folder: ['src', 'rust', 'library'], add: ['component', 'add', 'rust-src'] },
  ];
  for (const { what, add } of needed.filter(({ folder }) => missing(folder))) {
    if (output('rustup', ['--version']) === undefined) {
      throw new Stop(`Rust's ${what} is missing and so is rustup: install Rust with rustup (https://rustup.rs)`);
    }
    run('rustup', add);
  }
}

/** Compiles one module; returns where Cargo put it, and beside it, as lowshot.d, the list of what was read. */
function compile({ settings, features, flags = [], built = { args: [], env: {}, profile: 'release' } }) {
  // As a variable the flags would replace those of .cargo/config.toml, without which there is no SIMD; and they are meant for
  // this machine's processor.
  const { RUSTFLAGS: _, CARGO_ENCODED_RUSTFLAGS: __, ...env } = process.env;
  // The library's type is given here and not in Cargo.toml, because native builds need no second library.
  const kind = ['rustc', '--profile', built.profile, '--config', settings, '--lib', '--crate-type', 'cdylib', '--target', TARGET, '--locked'];
  // The flags are for this crate alone, which has the kernels, so nothing else is compiled for them again.
  const args = [...kind, ...built.args, '--no-default-features', '--features', features, '--', ...flags];
  run('cargo', args, { env: { ...env, ...built.env } });
  return path.resolve(at('.'), process.env.CARGO_TARGET_DIR ?? 'target', TARGET, built.profile, 'lowshot.wasm');
}

/**
 * Makes www/wasm/NAME, unless it is there and was made from the same. What does not compile throws at once; when this returns it is compiled,
 * and compressed and stamped when the promise is kept.
 */
function build(name, compiler) {
  const folder = at('www', 'wasm', name);
  const file = path.join(folder, 'lowshot_bg.wasm');
  const stamp = path.join(folder, 'stamp.json');
  const input = (files) => fingerprint(root, [...SETTINGS, ...files], name, compiler);
  const made = existsSync(stamp) && existsSync(file) ? JSON.parse(readFileSync(stamp, 'utf8')) : undefined;
  if (made?.files && made.input === input(made.files)) {
    console.log(`www/wasm/${name} is up to date: ${made.sizes}`);
    return Promise.resolve();
  }
  const start = Date.now();
  const compiled = compile(MODULES[name]);
  const files = filesRead(readFileSync(compiled.replace(/wasm$/, 'd'), 'utf8'), root);
  rmSync(folder, { recursive: true, force: true });
  run(bindgen(), [...OPTIONS, '--target', 'web', '--out-dir', folder, '--out-name', 'lowshot', compiled]);
  const finish = async () => {
    const bytes = readFileSync(file);
    const { br } = await compressed(bytes);
    const sizes = `${size(bytes.length)}, ${size(br.length)} with brotli`;
    console.log(`www/wasm/${name}: ${sizes}`);
    // What was changed meanwhile may not be in it: without a stamp it is made again the next time.
    if ([...SETTINGS, ...files].every((name) => statSync(at(name)).mtimeMs < start)) write(stamp, JSON.stringify({ input: input(files), sizes, files }));
  };
  return finish();
}

/** Builds the modules that are not up to date. */
export async function buildModules({ cpuOnly = false } = {}) {
  needCargo();
  needTarget();
  install();
  const compiler = output('rustc', ['--version']);
  // One is compressed while the next is compiled, which begins before anything is awaited.
  const compressing = [];
  for (const name of ['cpu', 'relaxed', 'threads', ...(cpuOnly ? [] : ['gpu'])]) compressing.push(build(name, compiler));
  await Promise.all(compressing);
  if (cpuOnly && !existsSync(at('www', 'wasm', 'gpu', 'lowshot.js'))) {
    // The same functions, and no GPU found: so that the page compiles. Without a stamp, so the next full build replaces it.
    cpSync(at('www', 'wasm', 'cpu'), at('www', 'wasm', 'gpu'), { recursive: true });
    rmSync(at('www', 'wasm', 'gpu', 'stamp.json'));
    console.log('www/wasm/gpu: the CPU module stands in for it');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(() => buildModules({ cpuOnly: process.argv.includes('--cpu-only') }));
}
