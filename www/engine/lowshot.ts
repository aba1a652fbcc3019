/**
 * lowshot for other programs: CLIP that learns your classes from a few photos, in a Worker of your page.
 *
 * ```ts
 * const lowshot = await Lowshot.load();
 * lowshot.addClass('cat');
 * lowshot.addClass('dog');
 * await lowshot.addExample('cat', photo);
 * for await (const event of lowshot.train({ method: 'meta' })) console.log(event);
 * const [answer] = await lowshot.classify(another);
 * ```
 */
import { CATALOGUE, DEMO, remoteFiles } from '../app/catalogue.ts';
import { newId } from '../app/container.ts';
import { readProject, writeProject } from '../app/project-file.ts';
import type { ClassCard } from '../app/state.ts';
import { hasher } from '../store/hasher.ts';
import { type Downloaded, fetchFiles } from '../store/pieces.ts';
import { openStore } from '../store/store.ts';
import { ahead, batches } from './ahead.ts';
import { concatenated } from './arrays.ts';
import { Engine, type ModelInfo, type TrainEvent, fill } from './engine.ts';
import { LowshotError, check } from './error.ts';
import type { ModelFiles } from './loading.ts';
import { Pictures, fileOf, joined } from './pictures.ts';
import type { Device, Kept, Pixels, Precision, RungOptions, Wanted, Weights } from './protocol.ts';

export type { Device, Precision, RungOptions, RungResult, Weights } from './protocol.ts';
export { LowshotError, type ModelInfo, type TrainEvent };

export interface LoadOptions {
  /** A name of the catalogue ("demo", "TinyCLIP-8M", "ViT-B/32", "ViT-B/16"), or a model's files by name. */
  readonly model?: string | ReadonlyMap<string, Uint8Array>;
  /** "auto" begins on the processor and goes over to a GPU that is right and faster. */
  readonly device?: 'auto' | Device;
  /** What the model computes in; "auto" is half precision on a GPU that does it rightly. The processor always uses "f32". */
  readonly precision?: 'auto' | Precision;
  /** How the weights lie in memory on the processor: "int8" takes a quarter of "f32" for features that are nearly the same. */
  readonly weights?: Weights;
  /** How texts are made of a class's name, `{}` standing for it. */
  readonly templates?: readonly string[];
  readonly onProgress?: (progress: Downloaded) => void;
  readonly signal?: AbortSignal;
}

/** What is said of a picture. */
export interface Answer {
  readonly best: string;
  /** Calibrated, by class; they sum to 1. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** "close": the best two are near each other; "unlike": unlike every photo that was learnt from. */
  readonly unsure?: 'close' | 'unlike';
}

export interface Evaluation {
  readonly correct: number;
  readonly n: number;
  readonly accuracy: number;
  /** `[label][prediction]`, in the order of `classes`. */
  readonly confusion: readonly (readonly number[])[];
}

/** A photo: a file, or a frame of a camera. */
export type Picture = Blob | ImageData;

interface Example {
  readonly label: number;
  readonly photo: Blob;
  readonly name: string;
  readonly pixels: Pixels;
  readonly features: Float32Array;
}

const DEFAULT_TEMPLATE = 'a photo of a {}.';
/** Pictures that go through the model together. */
const BATCH = 8;

export class Lowshot {
  readonly #engine: Engine;
  readonly #pictures = new Pictures();
  #templates: readonly string[];
  #classes: string[] = [];
  #examples: Example[] = [];
  readonly #kept = new Map<string, Kept>();
  #used = 'zero-shot';
  /** Whether the engine knows the present classes and photos. */
  #told = false;

  private constructor(engine: Engine, templates: readonly string[]) {
    this.#engine = engine;
    this.#templates = templates;
  }

  /** Fetches a model (what is in the browser's storage is not fetched again) and starts it. */
  static async load({ model = DEMO, device = 'auto', precision = 'auto', weights = 'auto', templates = [DEFAULT_TEMPLATE], onProgress, signal }: LoadOptions = {}): Promise<Lowshot> {
    const lowshot = new Lowshot(new Engine(), templates);
    try {
      const [name, files] = typeof model === 'string' ? [model, lowshot.#filesOf(model, onProgress, signal)] : ['files', async () => copied(model)];
      await lowshot.#engine.load(name, files, device, precision, weights);
      check(signal);
      return lowshot;
    } catch (error) {
      lowshot.dispose();
      throw error;
    }
  }

  /** What the model is, where it runs, and why there. */
  get info(): ModelInfo {
    const { info } = this.#engine;
    if (!info) throw new LowshotError('usage', 'it has been disposed of: load it again');
    return info;
  }

  get classes(): readonly string[] {
    return this.#classes;
  }

  /** The method that answers. */
  get used(): string {
    return this.#used;
  }

  /** Zero-shot answers know it at once. */
  addClass(name: string): void {
    if (this.#classes.includes(name)) throw new LowshotError('usage', `there is a class “${name}” already`);
    this.#classes = [...this.#classes, name];
    this.#changed();
  }

  /** A class that is not there yet is added. */
  async addExample(className: string, photo: Picture): Promise<void> {
    const blob = await fileOf(photo);
    const pixels = await this.#prepared(blob);
    const features = await this.#engine.imageFeatures(pixels);
    if (!this.#classes.includes(className)) this.addClass(className);
    const name = blob instanceof File ? blob.name : `photo ${this.#examples.length + 1}`;
    this.#examples.push({ label: this.#classes.indexOf(className), photo: blob, name, pixels, features });
    this.#changed();
  }

  /** Answers by the method in use; before any training by the classes' names. */
  async classify(...photos: readonly Picture[]): Promise<Answer[]> {
    await this.#tell();
    const answers: Answer[] = [];
    for await (const pixels of this.#batches(photos)) {
      for (const { probabilities, best, unsure } of await this.#engine.classify(joined(pixels))) {
        const named = Object.fromEntries(probabilities.map((probability, index) => [this.#classes[index] ?? '', probability]));
        answers.push({ best: this.#classes[best] ?? '', probabilities: named, ...(unsure ? { unsure } : {}) });
      }
    }
    return answers;
  }

  /** Judges a method by cross-validation and learns it; it answers from then on. Not asking for the next event is a pause. */
  async *train(rung: RungOptions, signal?: AbortSignal): AsyncGenerator<TrainEvent, void, void> {
    await this.#tell();
    const events = this.#engine.train({ rung, templates: this.#templates, pictures: (wanted) => this.#wanted(wanted), signal });
    for await (const event of events) {
      if (event.kind === 'done') {
        this.#kept.set(rung.method, event.kept);
        await this.use(rung.method);
      }
      yield event;
    }
  }

  /** Chooses one of the methods that were learnt. */
  async use(method: string): Promise<void> {
    await this.#tell();
    await this.#engine.choose(method);
    this.#used = method;
  }

  /** How many of other photos are told right. */
  async evaluate(photos: readonly { readonly photo: Picture; readonly className: string }[]): Promise<Evaluation> {
    const answers = await this.classify(...photos.map(({ photo }) => photo));
    const confusion = this.#classes.map(() => this.#classes.map(() => 0));
    photos.forEach(({ className }, index) => {
      const row = confusion[this.#classes.indexOf(className)];
      const predicted = this.#classes.indexOf(answers[index]?.best ?? '');
      if (!row) throw new LowshotError('usage', `there is no class “${className}”`);
      row[predicted] = (row[predicted] ?? 0) + 1;
    });
    const correct = confusion.reduce((sum, row, label) => sum + (row[label] ?? 0), 0);
    return { correct, n: photos.length, accuracy: correct / photos.length, confusion };
  }

  /** Unit features, one array a picture. */
  async imageFeatures(photos: readonly Picture[]): Promise<Float32Array[]> {
    const rows: Float32Array[] = [];
    for await (const pixels of this.#batches(photos)) {
      const found = await this.#engine.imageFeatures(joined(pixels));
      const width = this.info.embedding;
      for (let row = 0; row < pixels.length; row++) rows.push(found.slice(row * width, (row + 1) * width));
    }
    return rows;
  }

  /** Pictures a second through the image tower, on prepared pixels, `batch` at a time. */
  async measure({ batch = 1, rounds = 10 }: { readonly batch?: number; readonly rounds?: number } = {}): Promise<{ imagesPerSecond: number }> {
    const pixels = new Uint8Array(batch * this.info.imageSize ** 2 * 3).fill(128);
    await this.#engine.imageFeatures(pixels);
    const start = performance.now();
    for (let round = 0; round < rounds; round++) await this.#engine.imageFeatures(pixels);
    return { imagesPerSecond: (1000 * rounds * batch) / (performance.now() - start) };
  }

  /** The method in use as a file that `lowshot classify --adapter` and `lowshot eval` open natively. */
  async exportAdapter(): Promise<Uint8Array> {
    await this.#tell();
    return this.#engine.exportAdapter(this.#templates);
  }

  /** Its classes replace the present ones, its method answers; photos are forgotten. */
  async importAdapter(bytes: Uint8Array, label = 'the adapter'): Promise<void> {
    const { method, classes, templates, kept } = await this.#engine.importAdapter(label, bytes);
    this.#classes = [...classes];
    this.#templates = templates;
    this.#examples = [];
    this.#kept.clear();
    this.#kept.set(method, kept);
    this.#used = method;
    this.#told = true;
  }

  /** Classes, photos and what was learnt as one file, which the page opens too. */
  async saveProject(name = 'Project'): Promise<Blob> {
    const ids = this.#examples.map(() => newId());
    const classes = this.#classes.map((className, label): ClassCard => {
      const samples = this.#examples.flatMap((example, index) =>
        example.label === label ? [{ id: ids[index] ?? '', name: example.name, width: 0, height: 0, state: 'waiting' as const }] : [],
      );
      return { id: newId(), name: className, colour: label % 12, enabled: true, samples };
    });
    const photos = new Map(this.#examples.map((example, index) => [ids[index] ?? '', example.photo]));
    const learnt = [...this.#kept].map(([method, kept]) => ({ method, ...kept }));
    const used = this.#used === 'zero-shot' ? {} : { used: this.#used as never };
    const training = {
      status: 'done' as const,
      classes: classes.map(({ id }) => id),
      names: this.#classes,
      ladder: learnt.map(({ method }) => ({ method: method as never, status: 'done' as const })),
      samples: ids,
      templates: this.#templates,
      modelSha256: this.info.sha256,
      ...used,
    };
    const project = { schema: 1 as const, id: newId(), name, templates: this.#templates, classes, savedAt: Date.now(), model: this.info.name };
    return writeProject(learnt.length > 0 ? { ...project, training } : project, async (id) => photos.get(id), learnt);
  }

  /** Opens a project file in the place of what is here. */
  async openProject(file: Blob): Promise<void> {
    const { record, photos, learnt } = await readProject(file instanceof File ? file : new File([file], 'the project'));
    this.#classes = [];
    this.#examples = [];
    if (record.templates.length > 0) this.#templates = record.templates;
    const cards = record.classes.filter(({ enabled }) => enabled);
    for (const { name } of cards) this.addClass(name);
    for (const card of cards) {
      for (const { id, name } of card.samples) {
        const photo = photos.get(id);
        if (photo) await this.addExample(card.name, new File([photo], name));
      }
    }
    const same = record.training?.modelSha256 === this.info.sha256 && record.training.names.join('\n') === this.#classes.join('\n');
    if (!same) return;
    await this.#tell();
    for (const { method, adapter, calibration, examples } of learnt) {
      if (calibration === undefined || !examples) continue;
      const kept = { adapter, calibration, examples };
      await this.#engine.restore('the project', kept);
      this.#kept.set(method, kept);
    }
    if (record.training?.used && this.#kept.has(record.training.used)) await this.use(record.training.used);
  }

  /** Ends the Workers; nothing can be asked any more. */
  dispose(): void {
    this.#engine.dispose();
    this.#pictures.dispose();
  }

  /** What was learnt is of other classes or photos. */
  #changed(): void {
    this.#told = false;
    this.#kept.clear();
    this.#used = 'zero-shot';
  }

  async #tell(): Promise<void> {
    if (this.#told) return;
    if (this.#classes.length === 0) throw new LowshotError('usage', 'there are no classes yet: add some first');
    const features = concatenated(Float32Array, this.#examples.map((example) => example.features));
    const classes = this.#classes.map((name) => ({ name, prompts: this.#templates.map((template) => fill(template, name)) }));
    await this.#engine.setGround({ classes, features, labels: this.#examples.map(({ label }) => label) });
    this.#told = true;
  }

  async #wanted(wanted: readonly Wanted[]): Promise<Pixels> {
    const parts = await Promise.all(
      wanted.map(async ({ example, view }) => {
        const found = this.#examples[example];
        if (!found) throw new LowshotError('usage', `training asks for photo ${example} of ${this.#examples.length}`);
        return view === '"plain"' ? found.pixels : this.#pictures.trainingView(found.photo, found.name, this.info.preprocess, view);
      }),
    );
    return joined(parts);
  }

  /** Pixels of photos, batch by batch; the next ones are opened while some go through the model. */
  #batches(photos: readonly Picture[]): AsyncGenerator<readonly Pixels[], void, void> {
    return batches(ahead(photos, BATCH, async (photo) => this.#prepared(await fileOf(photo))), BATCH);
  }

  async #prepared(photo: Blob): Promise<Pixels> {
    const name = photo instanceof File ? photo.name : 'the photo';
    return (await this.#pictures.prepare(photo, name, this.info.preprocess)).pixels;
  }

  #filesOf(name: string, onProgress: LoadOptions['onProgress'], signal: AbortSignal | undefined): ModelFiles {
    const model = CATALOGUE.find((listed) => listed.name === name);
    if (!model) throw new LowshotError('usage', `there is no model “${name}”: choose one of ${CATALOGUE.map((listed) => listed.name).join(', ')}`);
    return async () => {
      const { store } = await openStore();
      const files = await remoteFiles(model, signal);
      return fetchFiles(files, { store, hasher: hasher((bytes) => this.#pictures.digest(bytes)), model: name, signal, ...(onProgress ? { onProgress } : {}) });
    };
  }
}

/** What is given to a Worker is gone here. */
function copied(model: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  return new Map([...model].map(([name, bytes]) => [name, bytes.slice()]));
}
