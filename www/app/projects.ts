/** The project that is open: its classes and photos, undo, and keeping it. */
import { LowshotError } from '../engine/error.ts';
import type { Store } from '../store/store.ts';
import { type Container, newId } from './container.ts';
import { IDLE } from './empty.ts';
import { ALONE, type Hold } from './hold.ts';
import { type Notices, sentence } from './notices.ts';
import type { Photos } from './photos.ts';
import { COLOURS, type ProjectRecord, type SampleSet, type TrainingRecord, isTemplate, parseRecord, recordOf } from './record.ts';
import type { ClassCard, Id, Project, ProjectSummary, Sample } from './state.ts';

/** Milliseconds from a change to its being stored. */
const AUTOSAVE = 400;
/** The project of this tab, which it comes back to when it is reloaded. */
const MINE = 'lowshot-project';
/** So many things can be undone. */
const MOST_UNDO = 30;

interface Undo {
  readonly what: string;
  readonly classes: readonly ClassCard[];
}

export class Projects {
  /** What training leaves to be stored with the project; set by whoever trains. */
  training: () => TrainingRecord | undefined = () => undefined;
  /** Called after classes, names or photos have changed. */
  onChange: () => void = () => undefined;
  photos!: Photos;

  #sample: SampleSet | undefined;
  #undo: Undo[] = [];
  /** What was undone, until something else is done. */
  #redo: Undo[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(
    private readonly container: Container,
    private readonly store: Store,
    private readonly notices: Notices,
    private readonly hold: Hold = ALONE,
  ) {}

  get projectId(): Id {
    return this.container.state.project.id;
  }

  get sample(): SampleSet | undefined {
    return this.#sample;
  }

  get allSamples(): Id[] {
    return this.container.state.project.classes.flatMap(({ samples }) => samples.map(({ id }) => id));
  }

  /** The project that was open last and is open nowhere else, or nothing. What cannot be opened is told of. */
  async last(): Promise<ProjectRecord | undefined> {
    await this.list();
    const { projects } = this.container.state;
    for (const { problem } of projects) if (problem) this.notices.problem(`${sentence(problem)} It is left as it is.`);
    const mine = ofTab((storage) => storage.getItem(MINE));
    const sound = projects.filter(({ problem }) => !problem);
    let elsewhere: string | undefined;
    for (const { id, name } of [...sound.filter((one) => one.id === mine), ...sound.filter((one) => one.id !== mine)]) {
      if (!(await this.hold.take(id))) {
        elsewhere ??= name;
        continue;
      }
      if (elsewhere !== undefined) this.notices.info(`“${elsewhere}” is open in another tab, and goes on there. This is “${name}”.`);
      return this.read(id);
    }
    if (elsewhere !== undefined) this.notices.info(`“${elsewhere}” is open in another tab, and goes on there. This is a new project.`);
    return undefined;
  }

  /** Makes a project this tab's; rejects where another tab has it. */
  async take({ id, name }: { readonly id: Id; readonly name: string }): Promise<void> {
    if (!(await this.hold.take(id))) throw new LowshotError('usage', `“${name}” is open in another tab: go on there, or close that tab first`);
  }

  async read(id: Id): Promise<ProjectRecord | undefined> {
    const row = await this.store.get('projects', id);
    return row && parseRecord(row.json, 'the stored project');
  }

  async list(): Promise<void> {
    const rows = await this.store.all('projects').catch(() => []);
    const projects = rows.map(({ id, json, savedAt }): ProjectSummary => {
      try {
        const { name, classes } = parseRecord(json, 'a stored project cannot be opened');
        return { id, name, classes: classes.length, samples: classes.reduce((sum, { samples }) => sum + samples.length, 0), savedAt };
      } catch (error) {
        return { id, name: '', classes: 0, samples: 0, savedAt, problem: LowshotError.from(error).message };
      }
    });
    projects.sort((a, b) => Number(!!a.problem) - Number(!!b.problem) || b.savedAt - a.savedAt);
    this.container.update({ projects });
  }

  /** Shows a project; the one before is stored first. */
  async show(record: ProjectRecord): Promise<void> {
    await this.take(record);
    await this.flush();
    this.#undo = [];
    this.#redo = [];
    this.#sample = record.sample;
    const { id, name, templates, classes, savedAt } = record;
    this.container.update({ project: { id, name, templates, classes, savedAt }, training: IDLE, examples: [], credits: [] });
    this.hold.keepOnly(id);
    ofTab((storage) => storage.setItem(MINE, id));
    // What was deleted and can no longer be brought back.
    void this.#sweep(record.training?.samples ?? []).catch(() => undefined);
  }

  empty(name: string, more: Partial<ProjectRecord> = {}): ProjectRecord {
    const project: Project = { id: newId(), name, templates: [], classes: [], savedAt: Date.now() };
    return { ...recordOf(project, { model: this.container.state.model.name || 'demo' }), ...more };
  }

  addClass(name?: string): Id {
    const { classes } = this.container.state.project;
    const taken = new Set(classes.map((card) => card.name));
    let number = classes.length + 1;
    while (taken.has(`Class ${number}`)) number++;
    const used = classes.map(({ colour }) => colour);
    const free = Array.from({ length: COLOURS }, (_, colour) => colour).find((colour) => !used.includes(colour));
    const card: ClassCard = { id: newId(), name: name?.trim() || `Class ${number}`, colour: free ?? classes.length % COLOURS, enabled: true, samples: [] };
    this.#change('adding a class', [...classes, card]);
    return card.id;
  }

  renameClass(id: Id, name: string): void {
    const trimmed = name.trim();
    if (trimmed) this.#changeCard('renaming a class', id, { name: trimmed });
  }

  toggleClass(id: Id): void {
    const card = this.card(id);
    if (card) this.#changeCard(`switching ${card.name} ${card.enabled ? 'off' : 'on'}`, id, { enabled: !card.enabled });
  }

  deleteClass(id: Id): void {
    const card = this.card(id);
    if (!card) return;
    this.#change(`deleting ${card.name}`, this.container.state.project.classes.filter((other) => other.id !== id));
  }

  addSamples(classId: Id, added: readonly Sample[]): void {
    const card = this.card(classId);
    // A class that is gone by now: its photos are swept up later.
    if (!card || added.length === 0) return;
    this.#changeCard(undefined, classId, { samples: [...card.samples, ...added] });
  }

  deleteSamples(ids: readonly Id[]): void {
    const gone = new Set(ids);
    const classes = this.container.state.project.classes.map((card) => ({ ...card, samples: card.samples.filter(({ id }) => !gone.has(id)) }));
    this.#change(`deleting ${ids.length === 1 ? 'a photo' : `${ids.length} photos`}`, classes);
  }

  moveSamples(ids: readonly Id[], classId: Id): void {
    // A class that is gone by now: they stay where they are.
    if (!this.card(classId)) return;
    const moved = new Set(ids);
    const { classes } = this.container.state.project;
    const samples = classes.flatMap((card) => card.samples.filter(({ id }) => moved.has(id)));
    const after = classes.map((card) => {
      const rest = card.samples.filter(({ id }) => !moved.has(id));
      return { ...card, samples: card.id === classId ? [...rest, ...samples] : rest };
    });
    this.#change(`moving ${ids.length === 1 ? 'a photo' : `${ids.length} photos`}`, after);
  }

  /** Progress, which is no change of the project. */
  markSamples(ids: readonly Id[], change: Partial<Sample>): void {
    const marked = new Set(ids);
    const after = (classes: readonly ClassCard[]): readonly ClassCard[] =>
      classes.map((card) => {
        if (!card.samples.some(({ id }) => marked.has(id))) return card;
        return { ...card, samples: card.samples.map((sample) => (marked.has(sample.id) ? { ...sample, ...change } : sample)) };
      });
    // What is undone or done again must not take photos back to what they were.
    this.#undo = this.#undo.map((undo) => ({ ...undo, classes: after(undo.classes) }));
    this.#redo = this.#redo.map((redo) => ({ ...redo, classes: after(redo.classes) }));
    this.#set({ classes: after(this.container.state.project.classes) });
  }

  undo(): void {
    this.#goBack(this.#undo, this.#redo);
  }

  redo(): void {
    this.#goBack(this.#redo, this.#undo);
  }

  /** Goes to the newest state of the one list; the present one comes to the other. */
  #goBack(from: Undo[], to: Undo[]): void {
    const last = from.pop();
    if (!last) return;
    to.push({ what: last.what, classes: this.container.state.project.classes });
    this.#set({ classes: last.classes });
    this.#changed();
  }

  /** What has been done so far was not the visitor's. */
  forgetUndo(): void {
    this.#undo = [];
    this.#redo = [];
    this.#set({});
  }

  rename(name: string): void {
    if (!name.trim()) return;
    this.#set({ name: name.trim() });
    this.save();
  }

  changeTemplates(templates: readonly string[]): void {
    const wrong = templates.find((template) => !isTemplate(template));
    if (wrong !== undefined) {
      this.notices.problem(`“${wrong}” needs {} once, where the class’s name goes.`);
      return;
    }
    this.#set({ templates });
    this.#changed();
  }

  card(id: Id): ClassCard | undefined {
    return this.container.state.project.classes.find((card) => card.id === id);
  }

  /** Stores the project soon. */
  save(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), AUTOSAVE);
  }

  /** Stores the project now. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#saving = this.#saving.then(() => this.#write()).catch((error: unknown) => {
      this.notices.problem(`The project could not be stored: ${LowshotError.from(error).message}. Save it as a file to be safe.`);
    });
    return this.#saving;
  }

  record(): ProjectRecord {
    const { project, model } = this.container.state;
    const training = this.training();
    return recordOf(project, { model: model.name, ...(this.#sample ? { sample: this.#sample } : {}), ...(training ? { training } : {}) });
  }

  async delete(id: Id): Promise<void> {
    await this.take({ id, name: this.container.state.projects.find((one) => one.id === id)?.name ?? '' });
    for (const table of ['photos', 'views', 'features', 'learnt'] as const) {
      await this.store.delete(table, await this.store.keys(table, id));
    }
    await this.store.delete('projects', [id]);
    this.hold.keepOnly(this.projectId);
    await this.list();
  }

  async #write(): Promise<void> {
    const { id } = this.container.state.project;
    if (!id) return;
    const savedAt = Date.now();
    const record = { ...this.record(), savedAt };
    await this.store.put('projects', [{ id, savedAt, json: JSON.stringify(record) }]);
    if (this.projectId === id) this.#set({ savedAt });
    await this.list();
  }

  #changeCard(what: string | undefined, id: Id, change: Partial<ClassCard>): void {
    this.#change(what, this.container.state.project.classes.map((card) => (card.id === id ? { ...card, ...change } : card)));
  }

  /** `what` is what undo would undo; nothing for what grows by itself. */
  #change(what: string | undefined, classes: readonly ClassCard[]): void {
    this.#redo = [];
    if (what) this.#undo = [...this.#undo, { what, classes: this.container.state.project.classes }].slice(-MOST_UNDO);
    // Photos that came since would be lost by undoing what was before them.
    else {
      const kept = this.#undo.map((undo) => ({ ...undo, classes: withNewSamples(undo.classes, classes) }));
      // Nothing is left to undo of a class that was only added, and has photos by now.
      this.#undo = kept.filter((undo) => !sameCards(undo.classes, classes));
    }
    this.#set({ classes });
    this.#changed();
  }

  #set(change: Partial<Project>): void {
    const { undo: _, redo: __, ...project } = { ...this.container.state.project, ...change };
    const [undo, redo] = [this.#undo.at(-1)?.what, this.#redo.at(-1)?.what];
    this.container.update({ project: { ...project, ...(undo ? { undo } : {}), ...(redo ? { redo } : {}) } });
  }

  #changed(): void {
    this.save();
    this.onChange();
  }

  /** `learnt` are photos that what was learnt is of, some of which may have been deleted since. */
  async #sweep(learnt: readonly Id[]): Promise<void> {
    const project = this.projectId;
    await this.photos.sweep(project, () => {
      if (this.projectId !== project) return undefined;
      // What can still be undone is in use. (What can be done again has no photos that are not there now.)
      const undoable = this.#undo.flatMap(({ classes }) => classes.flatMap(({ samples }) => samples.map(({ id }) => id)));
      return new Set([...learnt, ...this.allSamples, ...undoable]);
    });
  }
}

/** What the browser remembers for this tab, where it does. */
function ofTab<T>(ask: (storage: Storage) => T): T | undefined {
  try {
    return globalThis.sessionStorage && ask(globalThis.sessionStorage);
  } catch {
    return undefined;
  }
}

/** Classes as they were, with the photos that have come since and the classes that only those are in. */
function withNewSamples(before: readonly ClassCard[], now: readonly ClassCard[]): ClassCard[] {
  const known = new Set(before.flatMap(({ samples }) => samples.map(({ id }) => id)));
  const added = ({ samples }: ClassCard): readonly Sample[] => samples.filter(({ id }) => !known.has(id));
  const grown = before.map((card) => {
    const same = now.find(({ id }) => id === card.id);
    return same && added(same).length > 0 ? { ...card, samples: [...card.samples, ...added(same)] } : card;
  });
  const fresh = now.filter((card) => before.every(({ id }) => id !== card.id) && added(card).length > 0);
  return [...grown, ...fresh.map((card) => ({ ...card, samples: added(card) }))];
}

/** Whether two states of the classes hold the same, so that going from one to the other changes nothing. */
function sameCards(a: readonly ClassCard[], b: readonly ClassCard[]): boolean {
  const told = (cards: readonly ClassCard[]): string => JSON.stringify(cards.map(({ id, name, enabled, samples }) => [id, name, enabled, samples.map((sample) => sample.id)]));
  return told(a) === told(b);
}
