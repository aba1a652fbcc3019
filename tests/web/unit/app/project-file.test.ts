import { type Zippable, unzipSync, zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { type Contents, type Learnt, readProject, writeProject } from '../../../../www/app/project-file.ts';
import type { ProjectRecord } from '../../../../www/app/record.ts';
import { LowshotError } from '../../../../www/engine/error.ts';
import { bytesOf, randomBytes, same, seeded } from '../support/bytes.ts';
import { damaged } from '../support/damage.ts';
import { RECORD, TRAINING, isWellFormed, sample } from '../support/records.ts';

const PHOTOS: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  cat1: randomBytes(3000, 1),
  cat2: new Uint8Array(),
  dog1: Uint8Array.of(1),
  dog2: randomBytes(200_000, 2),
};
// Part of a larger buffer, as what comes from a Worker may be.
const EXAMPLES = new Float32Array(Float32Array.of(9, 0.25, -1.5, 3, 9).buffer, 4, 3);
const LEARNT: readonly Learnt[] = [
  { method: 'tip', adapter: randomBytes(500, 3), calibration: '{"temperature":1}', examples: EXAMPLES },
  { method: 'lora+bitfit', adapter: randomBytes(70, 4), calibration: '{}', examples: new Float32Array() },
];

const blobOf = async (id: string): Promise<Blob | undefined> => PHOTOS[id] && new Blob([PHOTOS[id]]);
const fileOf = (parts: BlobPart[], name = 'my.zip'): File => new File(parts, name);
const text = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const archive = (entries: Zippable): Promise<Contents> => readProject(fileOf([zipSync(entries) as Uint8Array<ArrayBuffer>]));
const written = async (record: ProjectRecord = RECORD): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await (await writeProject(record, blobOf, LEARNT)).arrayBuffer());

describe('a project that is written and read', () => {
  test('has the same classes, photos and settings, by new names', async () => {
    const { record } = await readProject(fileOf([await written()]));
    const { id, savedAt, name, templates, model } = record;
    expect({ savedAt, name, templates, model }).toEqual({ savedAt: RECORD.savedAt, name: RECORD.name, templates: RECORD.templates, model: RECORD.model });
    expect(id).not.toBe(RECORD.id);
    const nameless = (record: ProjectRecord) => record.classes.map((card) => ({ ...card, id: '', samples: card.samples.map((one) => ({ ...one, id: '' })) }));
    expect(nameless(record)).toEqual(nameless(RECORD));
    expect(isWellFormed(record)).toBe(true);
    const known = JSON.stringify(record).match(/cat\d"|dog\d"|"cats"|"dogs"|project1/g);
    expect(known).toBeNull();
    // It is a project of its own, whatever it began as.
    expect('sample' in record).toBe(false);
  });

  test('has the same photos, byte for byte', async () => {
    const { record, photos } = await readProject(fileOf([await written()]));
    const ids = record.classes.flatMap(({ samples }) => samples.map(({ id }) => id));
    expect([...photos.keys()]).toEqual(ids);
    for (const [at, before] of Object.keys(PHOTOS).entries()) expect(same(Uint8Array.from(await bytesOf(photos.get(ids[at] ?? ''))), PHOTOS[before] as Uint8Array), before).toBe(true);
  });

  test('has learnt the same', async () => {
    const { learnt } = await readProject(fileOf([await written()]));
    expect(learnt).toEqual(LEARNT);
  });

  test('has a training that speaks of its photos and classes by their new names', async () => {
    const { record } = await readProject(fileOf([await written()]));
    const classes = record.classes.map(({ id }) => id);
    const samples = record.classes.flatMap((card) => card.samples.map(({ id }) => id));
    const { training } = record;
    expect(training).toMatchObject({ classes, samples, names: TRAINING.names, used: 'tip', modelSha256: 'f00d' });
    expect(training?.ladder[1]?.result?.predictions.map(({ sample }) => sample)).toEqual(samples);
    expect(training?.map).toEqual(samples.map((sample, at) => ({ sample, x: at, y: 3 - at })));
    expect(training?.ladder[0]).toEqual(TRAINING.ladder[0]);
  });

  test('can be opened twice beside each other', async () => {
    const file = fileOf([await written()]);
    const ids = ({ record }: Contents): string[] => [record.id, ...record.classes.flatMap((card) => [card.id, ...card.samples.map(({ id }) => id)])];
    const [first, second] = [ids(await readProject(file)), ids(await readProject(file))];
    expect(new Set([...first, ...second]).size).toBe(first.length + second.length);
  });

  test('keeps photos in which bytes look like parts of an archive', async () => {
    const marks = [0x04034b50, 0x08074b50, 0x02014b50, 0x06054b50];
    const photos = marks.map((mark, at) => {
      const bytes = randomBytes(400, at);
      new DataView(bytes.buffer).setUint32(200, mark, true);
      return bytes;
    });
    const [cats] = RECORD.classes;
    const record = { ...RECORD, classes: [{ ...cats, id: 'cats', name: 'cat', colour: 0, enabled: true, samples: marks.map((_, at) => sample(`p${at}`)) }] };
    const blob = await writeProject(record, async (id) => new Blob([photos[Number(id.slice(1))] as Uint8Array<ArrayBuffer>]), []);
    const contents = await readProject(fileOf([blob]));
    expect(await Promise.all([...contents.photos.values()].map(bytesOf))).toEqual(photos.map((bytes) => [...bytes]));
  });

  test('is an archive that other programs read, by its directory', async () => {
    const entries = unzipSync(await written());
    expect(Object.keys(entries).sort()).toEqual([
      ...['lora+bitfit.f32', 'lora+bitfit.json', 'lora+bitfit.safetensors', 'tip.f32', 'tip.json', 'tip.safetensors'].map((name) => `learnt/${name}`),
      ...Object.keys(PHOTOS).map((id) => `photos/${id}`),
      'project.json',
    ]);
    expect(same(entries['photos/dog2'] as Uint8Array, PHOTOS['dog2'] as Uint8Array)).toBe(true);
    expect(JSON.parse(new TextDecoder().decode(entries['project.json']))).toEqual(RECORD);
  });

  test('may have thousands of photos', async () => {
    const samples = Array.from({ length: 3000 }, (_, at) => sample(`p${at}`));
    const [cats] = RECORD.classes as [ProjectRecord['classes'][0]];
    const { training: _, ...record } = { ...RECORD, classes: [{ ...cats, samples }] };
    const contents = await readProject(fileOf([await writeProject(record, async (id) => new Blob([id]), [])]));
    expect(contents.photos.size).toBe(3000);
    expect(await [...contents.photos.values()].at(-1)?.text()).toBe('p2999');
  });
});

describe('what is missing', () => {
  test('are photos: the others are there, and the project still says their names', async () => {
    const blob = await writeProject(RECORD, async (id) => (id === 'cat2' ? undefined : blobOf(id)), []);
    const { record, photos } = await readProject(fileOf([blob]));
    expect(photos.size).toBe(3);
    expect(photos.has(record.classes[0]?.samples[1]?.id ?? '')).toBe(false);
    expect(record.classes[0]?.samples[1]?.name).toBe('cat2.jpg');
  });

  test('are photos that a training is of: it is left away', async () => {
    const [cats, dogs] = RECORD.classes as [ProjectRecord['classes'][0], ProjectRecord['classes'][0]];
    const { record } = await readProject(fileOf([await written({ ...RECORD, classes: [cats, { ...dogs, samples: [sample('dog1')] }] })]));
    expect(record.training).toBeUndefined();
    expect(record.classes[1]?.samples).toHaveLength(1);
  });

  test('is a part of what was learnt: the method is left away', async () => {
    const blob = await writeProject(RECORD, blobOf, [{ method: 'checkpoint', adapter: randomBytes(5) }, ...LEARNT]);
    expect((await readProject(fileOf([blob]))).learnt.map(({ method }) => method)).toEqual(['tip', 'lora+bitfit']);
    const entries = { 'project.json': text(RECORD), 'learnt/tip.safetensors': randomBytes(4), 'learnt/tip.json': text('{}') };
    expect((await archive(entries)).learnt).toEqual([]);
    expect((await archive({ ...entries, 'learnt/tip.f32': randomBytes(6) })).learnt).toEqual([]);
    expect((await archive({ ...entries, 'learnt/tip.f32': randomBytes(8) })).learnt).toHaveLength(1);
  });
});

describe('an archive by another program', () => {
  test('may be compressed, with photos of any size', async () => {
    const large = new Uint8Array(1_000_000).map((_, at) => at % 251);
    const { photos } = await archive({ 'project.json': [text(RECORD), { level: 9 }], 'photos/cat1': [large, { level: 6 }], 'photos/cat2': [text('small'), { level: 6 }] });
    const [first, second] = [...photos.values()];
    expect(same(new Uint8Array((await first?.arrayBuffer()) ?? new ArrayBuffer()), large)).toBe(true);
    expect(await second?.text()).toBe('small');
  });

  test('may hold anything else, by any names, of which nothing is taken', async () => {
    const names = ['../../etc/passwd', '/absolute', 'photos/../cat1', 'photos/unknown', 'photos/', 'C:\\cat1', '__proto__/x', 'photos/__proto__', 'learnt/../tip.safetensors', 'learnt/A.safetensors'];
    const hostile = Object.fromEntries(names.map((name) => [name, text('x')]));
    const { photos, learnt, record } = await archive({ ...hostile, 'project.json': text(RECORD), 'photos/cat1': text('cat') });
    expect(photos.size).toBe(1);
    expect(learnt).toEqual([]);
    expect(isWellFormed(record)).toBe(true);
  });

  test('may have a damaged project.json: nothing but a project or one line comes of it', async () => {
    const random = seeded(7);
    const outcomes = { refused: 0, read: 0 };
    for (let round = 0; round < 200; round++) {
      const json = damaged(JSON.stringify(RECORD), random);
      try {
        const { record } = await archive({ 'project.json': text(json), 'photos/cat1': text('cat') });
        expect(isWellFormed(record), json).toBe(true);
        outcomes.read++;
      } catch (error) {
        expect(error, json).toBeInstanceOf(LowshotError);
        expect((error as LowshotError).message).toMatch(/^my\.zip: .+$/);
        outcomes.refused++;
      }
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(20);
  });
});
