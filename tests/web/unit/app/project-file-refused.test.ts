import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { readProject, writeProject } from '../../../../www/app/project-file.ts';
import { LowshotError } from '../../../../www/engine/error.ts';
import { randomBytes, seeded } from '../support/bytes.ts';
import { RECORD } from '../support/records.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const read = (bytes: Uint8Array): Promise<unknown> => readProject(new File([bytes as Uint8Array<ArrayBuffer>], 'my.zip'));
const whole = async (): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await (await writeProject(RECORD, async () => new Blob([randomBytes(5000)]), [])).arrayBuffer());

describe('a file that is no project is refused, and why', () => {
  const noArchive = 'my.zip: it is no lowshot project (such a file is a ZIP archive)';

  test.each([
    ['is empty', new Uint8Array(), noArchive],
    ['is a photo', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16), noArchive],
    ['is text', text('{"schema": 1}'), noArchive],
    ['is an empty archive', zipSync({}), noArchive],
    ['is an archive of something else', zipSync({ 'readme.txt': text('hello') }), 'my.zip: it is no lowshot project (it holds no project.json)'],
    ['has its project in a folder', zipSync({ 'my/project.json': text(JSON.stringify(RECORD)) }), 'my.zip: it is no lowshot project (it holds no project.json)'],
    ['has a project.json that is none', zipSync({ 'project.json': text('{"name": "package"}') }), 'my.zip: it is no lowshot project'],
  ])('because it %s', async (_, bytes, message) => {
    await expect(read(bytes)).rejects.toMatchObject({ name: 'LowshotError', kind: 'data', message });
  });

  test('because it is packed in a way that nobody knows', async () => {
    const bytes = zipSync({ 'project.json': [text(JSON.stringify(RECORD)), { level: 6 }] });
    bytes[8] = 99;
    await expect(read(bytes)).rejects.toMatchObject({ kind: 'data', message: expect.stringMatching(/^my\.zip: it is damaged \(.+\)$/) });
  });

  test('because its project.json would fill the memory', async () => {
    const bytes = zipSync({ 'project.json': [new Uint8Array((64 << 20) + 1), { level: 0 }] });
    await expect(read(bytes)).rejects.toMatchObject({ kind: 'data', message: 'my.zip: its project.json is too large' });
  });
});

describe('an archive that is cut off', () => {
  test('in the middle of a file is refused at once, wherever that is', async () => {
    const bytes = await whole();
    const photo = bytes.length - 4 * 5000;
    for (const length of [200, 1000, photo, photo + 5000, photo + 10_000]) {
      const start = performance.now();
      await expect(read(bytes.subarray(0, length)), `${length}`).rejects.toMatchObject({ kind: 'data', message: expect.stringMatching(/^my\.zip: it (is damaged|ends in the middle)/) });
      expect(performance.now() - start).toBeLessThan(4000);
    }
  });

  test('behind its photos is read all the same', async () => {
    const bytes = await whole();
    const directory = bytes.length - 22 - 3;
    await expect(read(bytes.subarray(0, directory))).resolves.toMatchObject({ record: { name: RECORD.name } });
  });
});

test('an archive with a slip somewhere is a project or one line', async () => {
  const bytes = await whole();
  const random = seeded(3);
  const outcomes = { read: 0, refused: 0 };
  for (let round = 0; round < 150; round++) {
    const broken = bytes.slice();
    // Where the archive speaks of itself, mostly.
    const at = Math.floor(random() * (round % 2 === 0 ? 2500 : bytes.length));
    broken[at] = Math.floor(random() * 256);
    try {
      await read(broken);
      outcomes.read++;
    } catch (error) {
      expect(error, `${at}`).toBeInstanceOf(LowshotError);
      outcomes.refused++;
    }
  }
  expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(5);
});
