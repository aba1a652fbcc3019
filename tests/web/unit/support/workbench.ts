/** An open project with everything that keeps it, without a browser: a model that describes photos by their first byte. */
import { vi } from 'vitest';
import { Container } from '../../../../www/app/container.ts';
import { EMPTY as NOTHING } from '../../../../www/app/empty.ts';
import { Notices } from '../../../../www/app/notices.ts';
import { Photos } from '../../../../www/app/photos.ts';
import { Projects } from '../../../../www/app/projects.ts';
import type { ProjectRecord } from '../../../../www/app/record.ts';
import type { Id, State } from '../../../../www/app/state.ts';
import type { Described, Engine, ModelInfo } from '../../../../www/engine/engine.ts';
import { type Numerics, numericsOf } from '../../../../www/engine/numerics.ts';
import type { Precision, Weights } from '../../../../www/engine/protocol.ts';
import type { Pictures } from '../../../../www/engine/pictures.ts';
import { MemoryStore } from '../../../../www/store/store.ts';

export const EMPTY: State = { ...NOTHING, model: { status: 'ready', name: 'demo' } };

const MODEL = { name: 'demo', sha256: 'f00d', preprocess: 'half', embedding: 2, imageSize: 1, precision: 'f32', weights: 'auto' } as ModelInfo;

const BITS: Readonly<Record<Numerics, number>> = { f32: 32, f16: 16, 'f16 weights': 17, 'int8 weights': 8 };

/** Describes photos by their first byte and by how it computes. */
export class FakeModel {
  precision: Precision = 'f32';
  weights: Weights = 'auto';
  /** Photos that it has seen. */
  seen = 0;
  /** Called before each answer. */
  before: () => void = () => undefined;

  get info(): ModelInfo {
    return { ...MODEL, precision: this.precision, weights: this.weights };
  }

  async describe(pixels: Uint8Array): Promise<Described> {
    this.before();
    this.seen += pixels.length;
    const numerics = numericsOf(this);
    return { features: Float32Array.from([...pixels].flatMap((value) => [value, BITS[numerics]])), numerics };
  }
}

export interface Workbench {
  readonly container: Container;
  readonly store: MemoryStore;
  readonly projects: Projects;
  readonly photos: Photos;
  readonly model: FakeModel;
  /** How often the open project was written. */
  readonly writes: () => number;
  /** Names of the photos of each class, in order. */
  readonly shown: () => Record<string, string[]>;
  /** Texts of what is shown to the visitor. */
  readonly told: () => string[];
  readonly add: (classId: Id, ...names: string[]) => Promise<void>;
  readonly id: (photo: string) => Id;
  /** Photos whose originals are stored, by name. */
  readonly kept: () => Promise<string[]>;
}

export async function workbench(record?: ProjectRecord): Promise<Workbench> {
  const container = new Container(EMPTY);
  const store = new MemoryStore();
  const notices = new Notices(container);
  const projects = new Projects(container, store, notices);
  const prepare = async (photo: Blob, name: string): Promise<object> => {
    if (name.includes('broken')) throw new Error(`${name} cannot be opened`);
    return { width: 2, height: 1, sha256: '', pixels: new Uint8Array(await photo.arrayBuffer()), thumbnail: new Blob(), box: {} };
  };
  const model = new FakeModel();
  const pictures = { prepare } as unknown as Pictures;
  const photos = new Photos(container, store, model as unknown as Engine, pictures, notices, projects, async () => MODEL);
  projects.photos = photos;
  const put = vi.spyOn(store, 'put');
  await projects.show(record ?? projects.empty('Test'));
  const samples = () => container.state.project.classes.flatMap((card) => card.samples);
  return {
    container,
    store,
    projects,
    photos,
    model,
    writes: () => put.mock.calls.filter(([table]) => table === 'projects').length,
    shown: () => Object.fromEntries(container.state.project.classes.map((card) => [card.name, card.samples.map(({ name }) => name)])),
    told: () => container.state.notices.map(({ text }) => text),
    add: (classId, ...names) => photos.add(classId, names.map((name, at) => ({ name, blob: new Blob([Uint8Array.of(at)]) }))),
    id: (photo) => samples().find(({ name }) => name === photo)?.id ?? '',
    kept: async () => {
      const found = await Promise.all((await store.keys('photos')).map((key) => store.get('photos', key)));
      return found.flatMap((one) => one?.name ?? []).sort();
    },
  };
}
