/** Which model is used: fetching, storing, loading it, and the list of all. */
import { type Engine, type ModelInfo as Loaded } from '../engine/engine.ts';
import { LowshotError } from '../engine/error.ts';
import { type Downloaded, type Hasher, type RemoteFile, fetchFiles, storeFile } from '../store/pieces.ts';
import type { Store } from '../store/store.ts';
import { CATALOGUE, DEMO, type Listed, remoteFiles } from './catalogue.ts';
import type { Container } from './container.ts';
import { type Notices, sentence } from './notices.ts';
import type { Model, ModelState, Settings } from './state.ts';

/** What is remembered of a model whose files are stored. */
interface Stored {
  readonly model: Listed;
  readonly files: readonly RemoteFile[];
}

/** Files that make up a model, of those that were dropped. */
const USEFUL = /(\.safetensors|config\.json|vocab\.json|merges\.txt|tokenizer\.json|\.safetensors\.index\.json)$/;

export class Models {
  /** Resolves when a model is loaded; another promise for each. */
  #ready: Promise<Loaded> | undefined;
  /** What everybody waits for while there is no model yet. */
  #first: Promise<Loaded> | undefined;
  /** The last that was ready. */
  #former = DEMO;
  /** What is shown when nothing is being fetched or loaded. */
  #settled: ModelState = { status: 'none', name: '' };
  #abort: AbortController | undefined;
  readonly #stored = new Map<string, Stored>();

  constructor(
    private readonly container: Container,
    private readonly store: Store,
    private readonly engine: Engine,
    private readonly hasher: Hasher,
    private readonly notices: Notices,
    /** Called when another model is ready. */
    private readonly onReady: (info: Loaded) => Promise<void>,
  ) {
    engine.onInfo = (info) => this.#show(info);
  }

  /** The model in use, once it is loaded; rejects where it cannot be. */
  async ready(): Promise<Loaded> {
    for (;;) {
      const ready = this.#ready;
      if (!ready) throw new LowshotError('usage', 'no model is loaded: choose one');
      try {
        return await ready;
      } catch (error) {
        // Another may have been chosen before this one was there.
        if (this.#ready === ready || !this.#ready) throw error;
      }
    }
  }

  async list(): Promise<void> {
    const rows = await this.store.all('models').catch(() => []);
    this.#stored.clear();
    for (const row of rows) {
      const stored = parse(row.json);
      if (stored) this.#stored.set(row.key, stored);
    }
    const keys = await this.store.keys('pieces').catch(() => []);
    const begun = new Set(keys.map((key) => key.split('\n')[0] ?? '').filter((name) => !this.#stored.has(name)));
    const own = [...this.#stored.values()].map(({ model }) => model).filter(({ source }) => source === 'file');
    const models = [...CATALOGUE, ...own].map(({ repository: _, revision: __, ...model }): Model => {
      const files = this.#stored.get(model.name)?.files ?? [];
      return { ...model, cachedBytes: files.reduce((sum, { bytes }) => sum + bytes, 0), begun: begun.has(model.name) };
    });
    this.container.update({ models });
  }

  /** Goes over to a model; the present one stays in use where that fails. */
  async use(name: string): Promise<boolean> {
    const listed = this.#listed(name);
    if (!listed) {
      this.notices.problem(`There is no model “${name}” here: choose one of the list, or drop its files.`);
      return false;
    }
    return this.#load(listed, (signal, progress) => this.#fetched(listed, signal, progress));
  }

  async useFiles(files: readonly File[]): Promise<void> {
    const useful = files.filter(({ name }) => USEFUL.test(name));
    const weights = useful.find(({ name }) => name.endsWith('.safetensors'));
    if (!weights) {
      const pickle = files.find(({ name }) => /\.(pt|pth|bin|ckpt)$/.test(name));
      this.notices.problem(
        pickle
          ? `${pickle.name} is a pickle, which can run programs, so it is not opened: get the same model as .safetensors.`
          : 'A model is a .safetensors file, with config.json and the tokenizer’s files beside it: drop all of them at once.',
      );
      return;
    }
    const bytes = useful.reduce((sum, { size }) => sum + size, 0);
    const folder = weights.webkitRelativePath.split('/').at(-2);
    const given = folder || weights.name.replace(/\.safetensors$/, '');
    const name = CATALOGUE.some((listed) => listed.name === given) ? `${given} (file)` : given;
    const model: Listed = { name, about: 'From your own files.', parametersMillions: 0, imageSize: 0, bytes: 0, source: 'file', knowsWords: true };
    const contents = async (): Promise<ReadonlyMap<string, Uint8Array>> =>
      new Map(await Promise.all(useful.map(async (file) => [file.name, new Uint8Array(await file.arrayBuffer())] as const)));
    const loaded = await this.#load(model, contents);
    if (!loaded || this.store.mode === 'memory') return;
    try {
      const info = await this.ready();
      for (const file of useful) await storeFile(file.name, file, { store: this.store, hasher: this.hasher, model: name });
      const remembered = { ...model, parametersMillions: info.parameters / 1e6, imageSize: info.imageSize };
      await this.#remember({ model: remembered, files: useful.map((file) => ({ name: file.name, url: '', bytes: file.size })) });
      this.notices.good(`${name} (${(bytes / 1e6).toFixed(0)} MB) is kept in this browser.`);
    } catch (error) {
      this.notices.problem(`${name} is used but could not be stored: ${LowshotError.from(error).message}.`);
      // A part of it is of no use.
      await this.store.delete('pieces', await this.store.keys('pieces', name)).catch(() => undefined);
    }
  }

  /** Leaves the model that is on its way. One that is being loaded has taken the Worker of the model in use, which is loaded anew. */
  cancel(): void {
    const { status, name } = this.container.state.model;
    if (status === 'downloading') this.#abort?.abort();
    else if (status === 'loading') void this.use(this.#instead(name));
  }

  async forget(name: string): Promise<void> {
    await this.store.delete('models', [name]);
    await this.store.delete('pieces', await this.store.keys('pieces', name));
    await this.list();
  }

  /** The same model as the settings say now. */
  async again(): Promise<void> {
    const { model } = this.container.state;
    if (model.name) await this.use(model.name);
  }

  async #load(model: Listed, files: (signal: AbortSignal, progress: Progress) => Promise<ReadonlyMap<string, Uint8Array>>): Promise<boolean> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const before = this.#ready === this.#first ? undefined : this.#ready;
    const { name } = model;
    const show = (change: Partial<ModelState>): void => {
      if (!abort.signal.aborted) this.container.update({ model: { ...this.#settled, status: 'downloading', name, ...change } });
    };
    let [found, failed]: [(info: Loaded) => void, (error: unknown) => void] = [() => undefined, () => undefined];
    const first = new Promise<Loaded>((resolve, reject) => ([found, failed] = [resolve, reject]));
    first.catch(() => undefined);
    if (!before) this.#ready = this.#first = first;
    try {
      show({});
      let fetched: ReadonlyMap<string, Uint8Array> | undefined = await files(abort.signal, (progress) => show({ progress }));
      show({ status: 'loading' });
      const { device, precision, weights }: Settings = this.container.state.settings;
      // Kept for the first Worker only: another one takes them from where they are stored.
      const again = async (): Promise<ReadonlyMap<string, Uint8Array>> => {
        const now = fetched ?? (await files(new AbortController().signal, () => undefined));
        fetched = undefined;
        return now;
      };
      const loading = this.engine.load(name, again, device, precision, weights);
      this.#ready = loading;
      loading.catch(() => undefined);
      const info = await loading;
      found(info);
      this.#show(info);
      await this.onReady(info);
      return true;
    } catch (error) {
      failed(error);
      if (this.#ready === first) this.#ready = undefined;
      void this.list();
      if (this.#abort !== abort) return false;
      const { kind, message } = LowshotError.from(error);
      if (kind !== 'cancelled') this.notices.problem(sentence(message.startsWith(name) ? message : `${name}: ${message}`));
      if (before && this.#ready === before) {
        // Nothing was loaded, so what was there before still is.
        this.#settle(this.#settled);
        return false;
      }
      this.#ready = undefined;
      this.#settle({ status: 'failed', name, problem: message });
      // Whoever waits for a model waits for another one then.
      if (name !== DEMO) void this.use(this.#instead(name));
      return false;
    }
  }

  /** The last model that was ready, where it is another one. */
  #instead(name: string): string {
    return name !== this.#former && this.#listed(this.#former) ? this.#former : DEMO;
  }

  #listed(name: string): Listed | undefined {
    return CATALOGUE.find((model) => model.name === name) ?? this.#stored.get(name)?.model;
  }

  async #fetched(model: Listed, signal: AbortSignal, progress: Progress): Promise<ReadonlyMap<string, Uint8Array>> {
    const stored = this.#stored.get(model.name);
    const files = stored?.files ?? (await remoteFiles(model, signal));
    let unstored: LowshotError | undefined;
    const found = await fetchFiles(files, {
      store: this.store,
      hasher: this.hasher,
      model: model.name,
      signal,
      onProgress: progress,
      onUnstored: (error) => (unstored = error),
    });
    if (unstored) this.notices.problem(`${model.name} works, but could not be kept for the next time: ${unstored.message}.`);
    else if (!stored) await this.#remember({ model, files }).catch(() => undefined);
    return found;
  }

  async #remember(stored: Stored): Promise<void> {
    await this.store.put('models', [{ key: stored.model.name, json: JSON.stringify(stored) }]);
    await this.list();
  }

  #show(info: Loaded): void {
    const { preprocess: _, reason, ...shown } = info;
    this.#former = info.name;
    this.#settle({ status: 'ready', name: info.name, info: shown, reason });
  }

  #settle(model: ModelState): void {
    this.#settled = model;
    this.container.update({ model });
  }
}

type Progress = (progress: Downloaded) => void;

function parse(json: string): Stored | undefined {
  try {
    const stored = JSON.parse(json) as Stored;
    return Array.isArray(stored.files) && typeof stored.model?.name === 'string' ? stored : undefined;
  } catch {
    return undefined;
  }
}
