/**
 * A project as one file: a ZIP archive with `project.json`, the photos as they were added, and what was learnt. It is written and
 * read in a stream, photo by photo, since all of them together may be larger than memory.
 */
import { Unzip, UnzipInflate, UnzipPassThrough, zipSync } from 'fflate';
import { LowshotError } from '../engine/error.ts';
import type { LearntRecord } from '../store/store.ts';
import { newId } from './container.ts';
import { type ProjectRecord, parseRecord } from './record.ts';
import type { Id } from './state.ts';

/** Archives that unpack to more are refused. */
const MOST_BYTES = 8 * 2 ** 30;
const MOST_JSON = 64 << 20;
/** An archive's end: its length, and where in it stand how many files there are (twice), how long their directory is, and where it begins. */
const END = 22;
const END_COUNTS = [8, 10];
const END_LENGTH = 12;
const END_DIRECTORY = 16;
/** Where an entry of the directory says where its file begins. */
const ENTRY_FILE = 42;

export type Learnt = Omit<LearntRecord, 'key' | 'project'>;

export interface Contents {
  readonly record: ProjectRecord;
  readonly photos: ReadonlyMap<Id, Blob>;
  readonly learnt: readonly Learnt[];
}

/** Writes a project; `photo` gives what was added. */
export async function writeProject(record: ProjectRecord, photo: (id: Id) => Promise<Blob | undefined>, learnt: readonly Learnt[]): Promise<Blob> {
  const parts: Blob[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  // Each file is an archive of its own at first, which says how long it is before it begins. One that is written in a stream says it
  // behind, and whoever reads it takes bytes of a photo that look like that for its end. Photos are compressed already; nothing else is large.
  const add = (name: string, bytes: Uint8Array): void => {
    const archive = zipSync({ [name]: [bytes, { level: 0 }] });
    const begin = numbersOf(archive.subarray(-END)).getUint32(END_DIRECTORY, true);
    const entry = archive.slice(begin, -END);
    numbersOf(entry).setUint32(ENTRY_FILE, size, true);
    directory.push(entry);
    // A blob, which the browser may keep on disk.
    parts.push(new Blob([archive.subarray(0, begin)]));
    size += begin;
  };
  add('project.json', new TextEncoder().encode(JSON.stringify(record)));
  for (const { method, adapter, calibration, examples } of learnt) {
    if (calibration === undefined || !examples) continue;
    add(`learnt/${method}.safetensors`, adapter);
    add(`learnt/${method}.json`, new TextEncoder().encode(calibration));
    add(`learnt/${method}.f32`, new Uint8Array(examples.buffer, examples.byteOffset, examples.byteLength));
  }
  for (const { id } of record.classes.flatMap(({ samples }) => samples)) {
    const blob = await photo(id);
    if (blob) add(`photos/${id}`, new Uint8Array(await blob.arrayBuffer()));
  }
  const end = zipSync({});
  const numbers = numbersOf(end);
  for (const at of END_COUNTS) numbers.setUint16(at, directory.length, true);
  numbers.setUint32(END_LENGTH, directory.reduce((sum, { length }) => sum + length, 0), true);
  numbers.setUint32(END_DIRECTORY, size, true);
  return new Blob([...parts, ...directory, end], { type: 'application/zip' });
}

function numbersOf(bytes: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a project file; everything gets new names, so that it can be opened beside the project that it was made from. */
export async function readProject(file: File): Promise<Contents> {
  const entries = await unpacked(file);
  const json = entries.get('project.json');
  if (!json) throw new LowshotError('data', `${file.name}: it is no lowshot project (it holds no project.json)`);
  if (json.size > MOST_JSON) throw new LowshotError('data', `${file.name}: its project.json is too large`);
  const { record, names } = renamed(parseRecord(await json.text(), file.name));
  const photos = new Map<Id, Blob>();
  for (const [before, now] of names) {
    const blob = entries.get(`photos/${before}`);
    if (blob) photos.set(now, blob);
  }
  const learnt: Learnt[] = [];
  for (const [name, blob] of entries) {
    const method = /^learnt\/([a-z0-9+-]+)\.safetensors$/.exec(name)?.[1];
    const calibration = method && entries.get(`learnt/${method}.json`);
    const examples = method && entries.get(`learnt/${method}.f32`);
    if (!method || !calibration || !examples || examples.size % 4 !== 0) continue;
    const adapter = new Uint8Array(await blob.arrayBuffer());
    learnt.push({ method, adapter, calibration: await calibration.text(), examples: new Float32Array(await examples.arrayBuffer()) });
  }
  return { record, photos, learnt };
}

async function unpacked(file: File): Promise<Map<string, Blob>> {
  const entries = new Map<string, Blob>();
  const refuse = (why: string): never => {
    throw new LowshotError('data', `${file.name}: ${why}`);
  };
  let total = 0;
  let failed: unknown;
  const waiting: Promise<void>[] = [];
  const unzip = new Unzip((entry) => {
    const parts: Blob[] = [];
    let chunks: Uint8Array<ArrayBuffer>[] = [];
    const done = new Promise<void>((resolve) => {
      entry.ondata = (error, chunk, final) => {
        failed ??= error ?? undefined;
        total += chunk?.length ?? 0;
        if (failed || total > MOST_BYTES) return resolve();
        chunks.push(chunk as Uint8Array<ArrayBuffer>);
        if (final || chunks.length > 256) {
          parts.push(new Blob(chunks));
          chunks = [];
        }
        if (!final) return undefined;
        entries.set(entry.name, new Blob(parts));
        return resolve();
      };
    });
    waiting.push(done);
    entry.start();
  });
  unzip.register(UnzipPassThrough);
  // The other one would start Workers from blobs, which the page's policy forbids.
  unzip.register(UnzipInflate);
  const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  if (String.fromCharCode(...start) !== 'PK\x03\x04') refuse('it is no lowshot project (such a file is a ZIP archive)');
  try {
    const reader = file.stream().getReader();
    for (;;) {
      const { done, value } = await reader.read();
      unzip.push(value ?? new Uint8Array(), done);
      if (failed || total > MOST_BYTES) break;
      if (done) break;
    }
  } catch (error) {
    failed = error;
  }
  if (total > MOST_BYTES) refuse('it unpacks to more than 8 GB');
  if (failed) refuse(`it is damaged (${LowshotError.from(failed).message})`);
  // An archive that ends in the middle of a file never finishes it.
  const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), 5000));
  if ((await Promise.race([Promise.all(waiting), late])) === 'late') refuse('it ends in the middle of a photo: copy it again');
  return entries;
}

/** New names for the project, its classes and photos; and the photos' names, from the old one to the new one. */
function renamed(record: ProjectRecord): { record: ProjectRecord; names: ReadonlyMap<Id, Id> } {
  const samples = record.classes.flatMap((card) => card.samples.map(({ id }) => id));
  const names = new Map(samples.map((id) => [id, newId()]));
  const classNames = new Map(record.classes.map(({ id }) => [id, newId()]));
  const name = (id: Id): Id => names.get(id) ?? '';
  const className = (id: Id): Id => classNames.get(id) ?? '';
  const classes = record.classes.map((card) => ({ ...card, id: className(card.id), samples: card.samples.map((sample) => ({ ...sample, id: name(sample.id) })) }));
  const { training, ...rest } = record;
  const { sample: _, ...bare } = { ...rest, id: newId(), classes };
  // What was learnt from photos that are not in the file cannot be taken up.
  if (!training || training.samples.some((id) => !names.has(id))) return { record: bare, names };
  const ladder = training.ladder.map((rung) => {
    if (!rung.result) return rung;
    const predictions = rung.result.predictions.map((one) => ({ ...one, sample: name(one.sample) }));
    return { ...rung, result: { ...rung.result, predictions } };
  });
  const map = training.map?.map((point) => ({ ...point, sample: name(point.sample) }));
  const moved = { ...training, classes: training.classes.map(className), samples: training.samples.map(name), ladder, ...(map ? { map } : {}) };
  return { record: { ...bare, training: moved }, names };
}
