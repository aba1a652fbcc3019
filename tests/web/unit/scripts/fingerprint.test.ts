import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { filesRead, fingerprint } from '../../../../scripts/fingerprint.mjs';

describe('the files that the compiler has read', () => {
  test('are given as paths in the repository', () => {
    const rule = '/home/me/repo/target/web/lowshot.wasm: /home/me/repo/build.rs /home/me/repo/src/lib.rs\n';
    expect(filesRead(rule, '/home/me/repo')).toEqual(['build.rs', 'src/lib.rs']);
  });

  test('may lie in a folder with a space in its name', () => {
    const rule = '/home/my\\ code/target/lowshot.wasm: /home/my\\ code/src/a\\ b.rs /home/my\\ code/src/c.rs\n';
    expect(filesRead(rule, '/home/my code')).toEqual(['src/a b.rs', 'src/c.rs']);
  });

  test('are those of the repository only', () => {
    expect(filesRead('/repo/t/lowshot.wasm: /repo/src/lib.rs /registry/other/src/lib.rs\n', '/repo')).toEqual(['src/lib.rs']);
  });
});

describe('a fingerprint', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(`${tmpdir()}/lowshot-fingerprint-`);
    mkdirSync(`${root}/src`, { recursive: true });
    write('src/lib.rs', 'mod web;');
    write('src/web.rs', 'fn web() {}');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const write = (name: string, text: string): void => writeFileSync(`${root}/${name}`, text);
  const files = ['src/lib.rs', 'src/web.rs'];

  test('is the same when a file is written again as it was', () => {
    const before = fingerprint(root, files, 'cpu');
    write('src/web.rs', 'fn web() {}');
    expect(fingerprint(root, files, 'cpu')).toBe(before);
  });

  test('is another one when a file has changed, is gone, or bears another name', () => {
    const before = fingerprint(root, files, 'cpu');
    write('src/web.rs', 'fn web() { }');
    const changed = fingerprint(root, files, 'cpu');
    rmSync(`${root}/src/web.rs`, { recursive: true });
    const gone = fingerprint(root, files, 'cpu');
    write('src/net.rs', 'fn web() {}');
    const renamed = fingerprint(root, ['src/lib.rs', 'src/net.rs'], 'cpu');
    expect(new Set([before, changed, gone, renamed]).size).toBe(4);
  });

  test('is another one for another module or compiler', () => {
    const found = [['cpu'], ['relaxed'], ['cpu', 'rustc 2']].map((more) => fingerprint(root, files, ...more));
    expect(new Set(found).size).toBe(3);
  });
});
