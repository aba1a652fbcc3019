/** Photos: from a file to a sample with features, and back to what views and training want to see of it. */
import { ahead, batches } from '../engine/ahead.ts';
import type { Described, Engine, ModelInfo } from '../engine/engine.ts';
import { LowshotError } from '../engine/error.ts';
import { type Numerics, numericsOf } from '../engine/numerics.ts';
import { type Pictures, joined } from '../engine/pictures.ts';
import type { Pixels, Wanted } from '../engine/protocol.ts';
import type { FeatureRecord, PhotoRecord, Store, ViewRecord } from '../store/store.ts';
import { type Container, newId } from './container.ts';
import { type Notices, sentence } from './notices.ts';
import type { ProjectRecord } from './record.ts';
import type { Id, Sample } from './state.ts';

/** Longer side of thumbnails, in pixels: sharp at twice their size on the page. */
const THUMBNAIL = 192;
/** Photos that go through the model together. */
const BATCH = 8;
/** So many problems have a message each; more have one together, with so many lines. */
const TOLD = 3;
const LINES = 100;

/** A photo that is on its way into a class. */
interface Added {
  readonly classId: Id;
  readonly sample: Sample;
  readonly pixels: Pixels;
  readonly record: PhotoRecord;
}

export interface Given {
  readonly name: string;
  readonly blob: Blob;
}

/** What changes the project's classes; `app/projects.ts`. */
export interface Cards {
  readonly projectId: Id;
  addSamples(classId: Id, samples: readonly Sample[]): void;
  markSamples(ids: readonly Id[], change: Partial<Sample>): void;
}

export class Photos {
  /** One at a time: adding, then what a new model has to see again. */
  #queue: Promise<void> = Promise.resolve();
  /** Features that there was no room to store, by their keys. */
  readonly #unstored = new Map<string, FeatureRecord>();
  readonly #thumbnails = new Map<Id, { url: Promise<string>; shown: number }>();

  constructor(
    private readonly container: Container,
    private readonly store: Store,
    private readonly engine: Engine,
    private readonly pictures: Pictures,
    private readonly notices: Notices,
    private readonly cards: Cards,
    private readonly model: () => Promise<ModelInfo>,
  ) {}

  /** Adds photos to a class as they become ready; those that cannot be opened are told of. */
  add(classId: Id, photos: readonly Given[]): Promise<void> {
    return this.addAll([{ classId, photos }]);
  }

  /** Adds photos to several classes. Those that can be had again are not missed when another project is opened meanwhile. */
  addAll(groups: readonly { readonly classId: Id; readonly photos: readonly Given[] }[], missed = true): Promise<void> {
    const photos = groups.flatMap(({ classId, photos }) => photos.map((photo) => ({ ...photo, classId })));
    const project = this.cards.projectId;
    return this.#next(async () => {
      const problems: string[] = [];
      let [seen, added] = [0, 0];
      let stopped: string | undefined;
      const gone = (): boolean => project !== this.cards.projectId;
      try {
        const info = await this.model();
        this.container.update({ adding: { done: 0, total: photos.length } });
        const prepare = async ({ classId, name, blob }: (typeof photos)[number]): Promise<Added | undefined> => {
          if (gone() || stopped) return undefined;
          const prepared = await this.pictures.prepare(blob, name, info.preprocess, THUMBNAIL).catch((error: unknown) => void problems.push(LowshotError.from(error).message));
          if (!prepared?.thumbnail) return undefined;
          const { width, height, pixels, thumbnail } = prepared;
          const sample: Sample = { id: newId(), name, width, height, state: 'waiting' };
          return { classId, sample, pixels, record: { id: sample.id, project, name, original: blob, thumbnail, width, height } };
        };
        // While some go through the model, the next ones are opened.
        for await (const batch of batches(ahead(photos, BATCH, prepare), BATCH)) {
          this.container.update({ adding: { done: seen, total: photos.length } });
          seen += batch.length;
          const stored: Added[] = [];
          try {
            await this.#store(batch.filter((one) => one !== undefined), info, stored);
          } catch (error) {
            // No room: what is stored stays, and nothing more is tried.
            stopped = LowshotError.from(error).message;
          }
          if (gone()) {
            if (missed) stopped = 'another project was opened meanwhile';
            break;
          }
          for (const id of new Set(stored.map(({ classId }) => classId))) {
            this.cards.addSamples(id, stored.flatMap(({ classId, sample }) => (classId === id ? sample : [])));
          }
          added += stored.length;
          await this.#describe(project, stored.map(({ sample }) => sample.id), joined(stored.map(({ pixels }) => pixels)), info);
          if (stopped) break;
        }
      } finally {
        this.#tell(problems, photos.length);
        if (stopped) this.notices.problem(`${photos.length - problems.length - added} of ${photos.length} photos were not added: ${stopped}.`);
      }
    });
  }

  /** Stores photos together, or, where there is no room for all, one by one until there is none for the next; `stored` are those that are. */
  async #store(photos: readonly Added[], info: ModelInfo, stored: Added[]): Promise<void> {
    try {
      await this.store.put('photos', photos.map(({ record }) => record));
      stored.push(...photos);
    } catch {
      for (const photo of photos) {
        await this.store.put('photos', [photo.record]);
        stored.push(photo);
      }
    } finally {
      // They can be made again, so there need not be room for them.
      await this.store.put('views', stored.map(({ sample, record, pixels }) => view(sample.id, record.project, info, pixels))).catch(() => undefined);
    }
  }

  /** Stores the photos of a project file; gives those that are missing or cannot be opened. */
  async adopt(record: ProjectRecord, photos: ReadonlyMap<Id, Blob>, info: ModelInfo): Promise<ReadonlySet<Id>> {
    const failed = new Set<Id>();
    const problems: string[] = [];
    await this.#next(async () => {
      const samples = record.classes.flatMap((card) => card.samples);
      for (const [done, { id, name }] of samples.entries()) {
        if (done % BATCH === 0) this.container.update({ adding: { done, total: samples.length } });
        const original = photos.get(id);
        try {
          if (!original) throw new LowshotError('data', `${name} is missing in the file`);
          const { pixels, thumbnail, width, height } = await this.pictures.prepare(original, name, info.preprocess, THUMBNAIL);
          if (thumbnail) await this.store.put('photos', [{ id, project: record.id, name, original, thumbnail, width, height }]);
          await this.store.put('views', [view(id, record.id, info, pixels)]);
        } catch (error) {
          const failure = LowshotError.from(error);
          if (failure.kind === 'storage') throw failure;
          failed.add(id);
          problems.push(failure.message);
        }
      }
      this.#tell(problems, samples.length);
    });
    return failed;
  }

  /**
   * Features of all these photos by the present model, row by row, and how they were computed: as `wanted` where all are known so, or else
   * as the model computes now, by which those that are not known yet are computed.
   */
  async features(ids: readonly Id[], wanted?: Numerics): Promise<Described> {
    const info = await this.model();
    let numerics = wanted ?? numericsOf(info);
    await this.#next(async () => {
      const known = wanted && (await this.#known());
      if (!known || ids.some((id) => !known.has(featureKey(id, info, wanted)))) numerics = await this.#complete(ids, info);
    });
    const rows = new Float32Array(ids.length * info.embedding);
    for (const [index, id] of ids.entries()) {
      const key = featureKey(id, info, numerics);
      const found = this.#unstored.get(key) ?? (await this.store.get('features', key));
      if (found?.features.length !== info.embedding) throw new LowshotError('storage', 'a photo cannot be read any more: delete it, or reload the page');
      rows.set(found.features, index * info.embedding);
    }
    return { features: rows, numerics };
  }

  /** Makes the present model see all photos; in the background, after another was chosen. */
  complete(ids: readonly Id[]): Promise<void> {
    return this.#next(async () => {
      await this.#complete(ids, await this.model());
    });
  }

  /** What training asks for. */
  async wanted(ids: readonly Id[], wanted: readonly Wanted[]): Promise<Pixels> {
    const info = await this.model();
    const parts = await Promise.all(
      wanted.map(async ({ example, view }) => {
        const id = ids[example];
        if (id === undefined) throw new LowshotError('usage', `training asks for photo ${example} of ${ids.length}`);
        return view === '"plain"' ? this.#pixels(id, info) : this.#trainingView(id, info, view);
      }),
    );
    return joined(parts);
  }

  /** Object URL of a thumbnail, one for all who show it. */
  thumbnail(id: Id): Promise<string> {
    let found = this.#thumbnails.get(id);
    if (!found) {
      const url = this.store.get('photos', id).then((photo) => (photo ? URL.createObjectURL(photo.thumbnail) : ''));
      found = { url, shown: 0 };
      this.#thumbnails.set(id, found);
    }
    found.shown++;
    return found.url.catch(() => '');
  }

  releaseThumbnail(id: Id): void {
    const found = this.#thumbnails.get(id);
    if (!found || --found.shown > 0) return;
    this.#thumbnails.delete(id);
    void found.url.then((url) => url && URL.revokeObjectURL(url), () => undefined);
  }

  async photo(id: Id): Promise<Blob | undefined> {
    return (await this.store.get('photos', id))?.original;
  }

  /** Forgets photos of a project that nothing uses any more; in its turn, so that none is lost that is just being added. */
  sweep(project: Id, used: () => ReadonlySet<Id> | undefined): Promise<void> {
    return this.#next(async () => {
      for (const table of ['photos', 'views', 'features'] as const) {
        const keys = await this.store.keys(table, project);
        const keep = used();
        if (!keep) return;
        await this.store.delete(table, keys.filter((key) => !keep.has(key.split('\n')[0] ?? key)));
      }
    });
  }

  async #pixels(id: Id, info: ModelInfo): Promise<Pixels> {
    const stored = await this.store.get('views', viewKey(id, info));
    if (stored) return stored.pixels;
    const photo = await this.store.get('photos', id);
    if (!photo) throw new LowshotError('storage', 'a photo is not in the browser’s storage any more: delete it and add it again');
    const { pixels } = await this.pictures.prepare(photo.original, photo.name, info.preprocess);
    // It can be made again, so there need not be room for it.
    await this.store.put('views', [view(id, photo.project, info, pixels)]).catch(() => undefined);
    return pixels;
  }

  async #trainingView(id: Id, info: ModelInfo, view: string): Promise<Pixels> {
    const photo = await this.store.get('photos', id);
    if (!photo) throw new LowshotError('storage', 'a photo is not in the browser’s storage any more: delete it and add it again');
    return this.pictures.trainingView(photo.original, photo.name, info.preprocess, view);
  }

  /** Keys of the features that are known of the project. */
  async #known(): Promise<ReadonlySet<string>> {
    return new Set([...(await this.store.keys('features', this.cards.projectId)), ...this.#unstored.keys()]);
  }

  /** Gives how they were computed. */
  async #complete(ids: readonly Id[], info: ModelInfo): Promise<Numerics> {
    for (;;) {
      const numerics = numericsOf(this.engine.info ?? info);
      await this.#completeIn(numerics, ids, info);
      // Where a GPU has taken over meanwhile, not all are of the same kind.
      if (numerics === numericsOf(this.engine.info ?? info)) return numerics;
    }
  }

  async #completeIn(numerics: Numerics, ids: readonly Id[], info: ModelInfo): Promise<void> {
    const project = this.cards.projectId;
    const known = await this.#known();
    const missing = ids.filter((id) => !known.has(featureKey(id, info, numerics)));
    const look = async (id: Id): Promise<{ id: Id; pixels?: Pixels }> => {
      try {
        return { id, pixels: await this.#pixels(id, info) };
      } catch (error) {
        this.cards.markSamples([id], { state: 'failed', problem: LowshotError.from(error).message });
        return { id };
      }
    };
    let done = 0;
    for await (const batch of batches(ahead(missing, BATCH, look), BATCH)) {
      if (missing.length > BATCH) this.container.update({ adding: { done, total: missing.length } });
      done += batch.length;
      const opened = batch.flatMap(({ id, pixels }) => (pixels ? [{ id, pixels }] : []));
      await this.#describe(project, opened.map(({ id }) => id), joined(opened.map(({ pixels }) => pixels)), info);
    }
    const ready = ids.filter((id) => known.has(featureKey(id, info, numerics)));
    if (ready.length > 0) this.cards.markSamples(ready, { state: 'ready' });
  }

  async #describe(project: Id, ids: readonly Id[], pixels: Pixels, info: ModelInfo): Promise<void> {
    if (ids.length === 0) return;
    const { features: rows, numerics } = await this.engine.describe(pixels);
    const records = ids.map((id, index): FeatureRecord => {
      const features = rows.slice(index * info.embedding, (index + 1) * info.embedding);
      return { key: featureKey(id, info, numerics), project, features };
    });
    // They can be computed again, so there need not be room for them.
    await this.store.put('features', records).catch(() => records.forEach((record) => this.#unstored.set(record.key, record)));
    this.cards.markSamples(ids, { state: 'ready' });
  }

  #tell(problems: readonly string[], total: number): void {
    const lines = problems.map(sentence);
    if (lines.length <= TOLD) return lines.forEach((line) => this.notices.problem(line));
    const more = lines.length > LINES ? [`… and ${lines.length - LINES} more`] : [];
    this.notices.problem(`${lines.length} of ${total} photos could not be added.`, [...lines.slice(0, LINES), ...more]);
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work).finally(() => {
      const { adding: _, ...rest } = this.container.state;
      if (this.container.state.adding) this.container.replace(rest);
    });
    this.#queue = done.catch(() => undefined);
    return done;
  }
}

function view(id: Id, project: Id, info: ModelInfo, pixels: Pixels): ViewRecord {
  return { key: viewKey(id, info), project, pixels };
}

function viewKey(id: Id, info: ModelInfo): string {
  return `${id}\n${info.preprocess}`;
}

function featureKey(id: Id, info: ModelInfo, numerics: Numerics): string {
  return `${id}\n${info.sha256}${numerics === 'f32' ? '' : `\n${numerics}`}`;
}
