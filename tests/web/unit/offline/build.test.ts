import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { offline } from '../../../../scripts/offline.mjs';

interface Plugin {
  readonly apply: string;
  transformIndexHtml(): readonly { readonly attrs: { readonly content: string } }[];
  writeBundle(options: { readonly dir: string }): void;
}
const plugin = offline() as unknown as Plugin;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(`${tmpdir()}/lowshot-offline-`);
  for (const folder of ['assets', 'models', 'samples/eurosat']) mkdirSync(`${dir}/${folder}`, { recursive: true });
  write('index.html', '<script src="assets/index-abc.js"></script>');
});
afterEach(() => rmSync(dir, { recursive: true }));

const write = (name: string, text = ''): void => writeFileSync(`${dir}/${name}`, text);

/** The service worker's list and name after a build, whatever quotes the minifier has chosen. */
function built(quote = '"'): { files: string[]; build: string } {
  write('sw.js', `const a=${quote}%BUILD%${quote},b=JSON.parse(${quote}%FILES%${quote});`);
  plugin.writeBundle({ dir });
  const [, build = '', files = ''] = /^const a=(".*"),b=JSON\.parse\((".*")\);$/.exec(readFileSync(`${dir}/sw.js`, 'utf8')) ?? [];
  return { build: JSON.parse(build) as string, files: JSON.parse(JSON.parse(files) as string) as string[] };
}

test.each(['"', "'", '`'])('the list is put where the minifier has left %s', (quote) => {
  write('assets/index-abc.js');
  expect(built(quote).files).toEqual(['./', 'assets/index-abc.js']);
});

test('every visit needs the program, and neither models, nor samples, nor what is compressed of it', () => {
  const needed = ['assets/a$&b.js', 'assets/config-1.json', 'assets/index-abc.js', 'assets/lowshot_bg-abc.wasm', "assets/o'neil.css", 'favicon.svg'];
  const others = ['assets/gpu-abc.wasm', 'assets/index-abc.js.br', 'assets/index-abc.js.gz', 'assets/index-abc.js.map', 'assets/merges-1.txt', 'assets/model-1.safetensors'];
  const elsewhere = ['assets/vocab-1.json', 'models/x.json', 'samples/eurosat.json', 'samples/eurosat/Forest_1.jpg'];
  for (const name of [...needed, ...others, ...elsewhere]) write(name);
  expect(built().files).toEqual(['./', ...needed.sort()]);
});

test('a build has another name when its files or its page are others, and else the same', () => {
  write('assets/index-abc.js');
  const { build } = built();
  expect(build).toMatch(/^[0-9a-f]{12}$/);
  expect(built().build).toBe(build);
  write('samples/eurosat/Forest_2.jpg');
  expect(built().build).toBe(build);
  write('index.html', '<p>changed</p>');
  const changed = built().build;
  expect(changed).not.toBe(build);
  write('assets/other.js');
  expect(built().build).not.toBe(changed);
});

test('the policy lets the page fetch models, and send nothing', () => {
  const content = plugin.transformIndexHtml()[0]?.attrs.content ?? '';
  const rules = Object.fromEntries(content.split('; ').map((rule) => [rule.split(' ')[0], rule.split(' ').slice(1)]));
  expect(rules['default-src']).toEqual(["'self'"]);
  expect(rules['connect-src']).toEqual(["'self'", 'blob:', 'https://huggingface.co', 'https://*.huggingface.co', 'https://*.hf.co']);
  expect(rules['script-src']).toEqual(["'self'", "'wasm-unsafe-eval'"]);
  for (const name of ['form-action', 'base-uri', 'object-src']) expect(rules[name], name).toEqual(["'none'"]);
  expect(plugin.apply).toBe('build');
});
