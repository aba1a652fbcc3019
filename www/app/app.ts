/** The page's only source of truth: state, and everything that can be done, put together from its parts. */
import { Engine } from '../engine/engine.ts';
import { LowshotError } from '../engine/error.ts';
import { Pictures } from '../engine/pictures.ts';
import { hasher } from '../store/hasher.ts';
import { type Store, forgetEverything, openStore } from '../store/store.ts';
import type { Actions, App } from './actions.ts';
import { DEMO } from './catalogue.ts';
import { Container } from './container.ts';
import { EMPTY } from './empty.ts';
import { Files } from './files.ts';
import { ALONE, Locks } from './hold.ts';
import { Learning } from './learning.ts';
import { Learnt } from './learnt.ts';
import { Models } from './models.ts';
import { Notices } from './notices.ts';
import { type Given, Photos } from './photos.ts';
import { Projects } from './projects.ts';
import type { ProjectRecord, SampleSet } from './record.ts';
import { openSamples } from './samples.ts';
import { forgetSettings, storeSettings, storedSettings } from './settings.ts';
import type { Id, Settings, State } from './state.ts';
import { Trying } from './trying.ts';

/** The page's first drawing is done: compiling the model's code, on every processor that there is, would make it wait. */
function drawn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof requestAnimationFrame === 'function') requestAnimationFrame(() => setTimeout(resolve));
    // A tab that nobody looks at draws nothing.
    setTimeout(resolve, 250);
  });
}

/** Opens what is stored, begins to load the model, and gives the page what it shows meanwhile. */
export async function createApp(): Promise<App> {
  const container = new Container({ ...EMPTY, settings: storedSettings() });
  const notices = new Notices(container);
  const { store, problem } = await openStore();
  if (problem) notices.problem(`${problem[0]?.toUpperCase()}${problem.slice(1)}: everything goes when this tab is closed. Save the project as a file to keep it.`);
  return new LowshotApp(container, store, notices, problem);
}

class LowshotApp implements App {
  readonly actions: Actions;
  readonly #container: Container;
  readonly #store: Store;
  readonly #notices: Notices;
  readonly #engine = new Engine();
  readonly #adding = new Pictures();
  readonly #trying = new Pictures();
  readonly #projects: Projects;
  readonly #models: Models;
  readonly #photos: Photos;
  readonly #learning: Learning;

  constructor(container: Container, store: Store, notices: Notices, problem: string | undefined) {
    this.#container = container;
    this.#store = store;
    this.#notices = notices;
    const hash = hasher((bytes) => this.#adding.digest(bytes));
    const shared = store.mode === 'persistent' && 'locks' in navigator;
    this.#projects = new Projects(container, store, notices, shared ? new Locks() : ALONE);
    this.#models = new Models(container, store, this.#engine, hash, notices, () => this.#modelReady());
    this.#photos = new Photos(container, store, this.#engine, this.#adding, notices, this.#projects, () => this.#models.ready());
    this.#projects.photos = this.#photos;
    this.#learning = new Learning(container, new Learnt(store, notices, this.#projects), this.#engine, this.#photos, this.#projects, this.#models, notices);
    this.#projects.onChange = () => this.#learning.checkStale();
    this.#engine.onDeath = ({ kind, message }) =>
      notices.info(kind === 'lost' ? `The GPU went away and is being asked for again; nothing is lost (${message}).` : `The model’s worker stopped and was started again; nothing is lost (${message}).`);
    const trying = new Trying(container, this.#engine, this.#trying, this.#learning, this.#models, notices);
    const files = new Files(container, store, this.#engine, this.#photos, this.#projects, this.#models, this.#learning, notices, (record) => this.#open(record));
    this.actions = this.#made(trying, files);
    container.update({ storage: { ...container.state.storage, mode: store.mode, ...(problem ? { problem } : {}) } });
    addEventListener('pagehide', () => void this.#projects.flush());
    // It may take over long after the page is there.
    if ('serviceWorker' in navigator) navigator.serviceWorker.addEventListener('controllerchange', () => void this.#showStorage());
    void this.#begin();
  }

  get state(): State {
    return this.#container.state;
  }

  subscribe(listener: () => void): () => void {
    return this.#container.subscribe(listener);
  }

  async #begin(): Promise<void> {
    // One that is damaged or open in another tab is left where it is, and another begun.
    const last = await this.#projects.last().catch((error: unknown) => void this.#notices.problem(LowshotError.from(error).message));
    await this.#models.list();
    if (last) {
      await this.#show(last);
      const model = this.#container.state.models.find(({ name, source, cachedBytes }) => name === last.model && (source === 'inside' || cachedBytes > 0));
      this.#opening = last;
      await this.#models.use(model?.name ?? DEMO);
    } else if (this.#container.state.projects.some(({ problem }) => !problem)) {
      await this.#projects.show(this.#projects.empty('My project'));
      await this.#models.use(DEMO);
    } else {
      const loading = drawn().then(() => this.#models.use(DEMO));
      await this.#openSample('eurosat');
      await loading;
    }
    void this.#showStorage();
  }

  /** The project whose training is to be taken up when the model is ready. */
  #opening: ProjectRecord | undefined;

  async #modelReady(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    // Not waited for: the model is of use before all photos have been seen by it.
    void (async () => {
      await this.#learning.clear();
      await this.#photos.complete(this.#projects.allSamples);
      if (opening?.id === this.#projects.projectId) await this.#learning.restore(opening.training);
      this.#projects.save();
    })().catch((error: unknown) => this.#notices.problem(LowshotError.from(error).message));
    await this.#showStorage();
  }

  async #open(record: ProjectRecord): Promise<void> {
    await this.#projects.take(record);
    await this.#learning.clear(() => this.#show(record));
    const { model } = this.#container.state;
    const has = this.#container.state.models.some(({ name, source, cachedBytes }) => name === record.model && (source === 'inside' || cachedBytes > 0));
    if (record.model !== model.name && has) {
      this.#opening = record;
      await this.#models.use(record.model);
      return;
    }
    if (record.model !== model.name && record.training) {
      this.#notices.info(`What this project has learnt is of the model ${record.model}: choose that one to use it, or train again.`);
    }
    await this.#photos.complete(this.#projects.allSamples);
    await this.#learning.restore(record.training);
  }

  async #show(record: ProjectRecord): Promise<void> {
    await this.#projects.show(record);
    if (!record.sample) return;
    // What comes with a sample is told as soon as it is known; nothing waits for it.
    void openSamples(record.sample).then(
      ({ examples, credits }) => {
        if (this.#projects.projectId === record.id) this.#container.update({ examples, credits });
      },
      () => undefined,
    );
  }

  async #openSample(which: SampleSet): Promise<void> {
    await this.#notices.told(async () => {
      const samples = await openSamples(which);
      const empty = this.#projects.empty(samples.name, { sample: which, templates: samples.templates });
      await this.#learning.clear(() => this.#projects.show(empty));
      this.#container.update({ examples: samples.examples, credits: samples.credits });
      const project = this.#projects.projectId;
      const ids = samples.classes.map(({ name }) => this.#projects.addClass(name));
      const photo = async (url: string): Promise<Given> => ({ name: url.split('/').at(-1) ?? url, blob: await fetched(url) });
      // One class after the other: asking for all at once keeps the page from drawing meanwhile.
      const photos: Given[][] = [];
      for (const one of samples.classes) photos.push(await Promise.all(one.photos.map(photo)));
      // Somebody who has gone on to something else wants no more of it.
      const gone = (): boolean => this.#projects.projectId !== project;
      if (gone()) return;
      await this.#photos.addAll(ids.map((classId, index) => ({ classId, photos: photos[index] ?? [] })), false);
      if (!gone()) this.#projects.forgetUndo();
      if (which === 'eurosat' && !gone()) await this.#learning.train();
    });
  }

  async #showStorage(): Promise<void> {
    const found = await this.#store.estimate();
    if (found) this.#container.update(({ storage }) => ({ storage: { ...storage, usedBytes: found.used, quotaBytes: found.quota } }));
    const offline = 'serviceWorker' in navigator && Boolean(navigator.serviceWorker.controller) && this.#store.mode === 'persistent';
    this.#container.update({ offline });
  }

  async #addFolders(items: readonly { readonly path: string; readonly file: File }[], classId?: Id): Promise<void> {
    const groups = new Map<string, File[]>();
    for (const { path, file } of items) {
      if (file.name.startsWith('.')) continue;
      const folder = path.split('/').filter(Boolean).slice(0, -1).at(-1) ?? '';
      groups.set(folder, [...(groups.get(folder) ?? []), file]);
    }
    const added = [...groups].map(([folder, files]) => {
      const there = this.#container.state.project.classes.find(({ name }) => name === folder);
      const id = (groups.size === 1 && classId) || (folder ? (there?.id ?? this.#projects.addClass(folder)) : (classId ?? this.#projects.addClass()));
      return { classId: id, photos: files };
    });
    await this.#addPhotos(added);
  }

  async #addPhotos(groups: readonly { readonly classId: Id; readonly photos: readonly (File | Blob)[] }[]): Promise<void> {
    const named = groups.map(({ classId, photos }) => ({
      classId,
      photos: photos.map((blob, index): Given => ({ name: blob instanceof File && blob.name ? blob.name : `photo ${index + 1}`, blob })),
    }));
    await this.#notices.told(() => this.#photos.addAll(named));
    void this.#showStorage();
  }

  #changeSettings(change: Partial<Settings>): void {
    const settings = { ...this.#container.state.settings, ...change };
    this.#container.update({ settings });
    storeSettings(settings);
  }

  #made(trying: Trying, files: Files): Actions {
    const projects = this.#projects;
    const learning = this.#learning;
    const models = this.#models;
    const told = (work: () => Promise<unknown>): Promise<void> => this.#notices.told(async () => void (await work()));
    return {
      addClass: (name) => projects.addClass(name),
      renameClass: (id, name) => projects.renameClass(id, name),
      toggleClass: (id) => projects.toggleClass(id),
      deleteClass: (id) => projects.deleteClass(id),
      addPhotos: (id, photos) => this.#addPhotos([{ classId: id, photos }]),
      addFolders: (items, id) => this.#addFolders(items, id),
      deleteSamples: (ids) => projects.deleteSamples(ids),
      moveSamples: (ids, id) => projects.moveSamples(ids, id),
      undo: () => projects.undo(),
      redo: () => projects.redo(),
      thumbnail: (id) => this.#photos.thumbnail(id),
      releaseThumbnail: (id) => this.#photos.releaseThumbnail(id),
      photo: (id) => this.#photos.photo(id).catch(() => undefined),
      train: () => told(() => learning.train()),
      pause: () => learning.pause(),
      resume: () => learning.resume(),
      stop: () => void learning.stop(),
      use: (method) => told(() => learning.use(method)),
      runRung: (method) => told(() => learning.runRung(method)),
      classify: (photo, signal) => trying.classify(photo, signal),
      classifyByText: (photo, names) => trying.classifyByText(photo, names),
      look: (photo, names) => trying.look(photo, names),
      attention: (photo) => trying.attention(photo),
      newProject: () => told(() => this.#open(projects.empty('My project'))),
      openSample: (which) => this.#openSample(which),
      openProject: (id) =>
        told(async () => {
          await projects.flush();
          const record = await projects.read(id);
          if (record) await this.#open(record);
        }),
      renameProject: (name) => projects.rename(name),
      changeTemplates: (templates) => projects.changeTemplates(templates),
      deleteProject: (id) =>
        told(async () => {
          const open = id === projects.projectId;
          if (open) await this.#open(projects.empty('My project'));
          await projects.delete(id);
          void this.#showStorage();
        }),
      saveProjectFile: () => told(() => files.saveProject()),
      openProjectFile: (file) => told(() => files.openProject(file)),
      exportAdapter: () => told(() => files.exportAdapter()),
      importAdapter: (file) => told(() => files.importAdapter(file)),
      exportResults: () => told(() => files.exportResults()),
      useModel: (name) => told(() => models.use(name)),
      useModelFiles: (files) => told(() => models.useFiles(files)),
      cancelModel: () => models.cancel(),
      forgetModel: (name) =>
        told(async () => {
          await models.forget(name);
          await this.#showStorage();
        }),
      compute: async (how) => {
        this.#changeSettings(how);
        this.#opening = projects.record();
        await told(() => models.again());
      },
      changeSettings: (settings) => this.#changeSettings(settings),
      forgetEverything: () =>
        told(async () => {
          // First, or what is learnt meanwhile would be stored again.
          await learning.stop();
          await forgetEverything();
          forgetSettings();
          location.reload();
        }),
      dismiss: (notice) => this.#notices.dismiss(notice),
    };
  }
}

async function fetched(url: string): Promise<Blob> {
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) throw new LowshotError('network', `${url} cannot be fetched: reload the page when there is a network`);
  return response.blob();
}
