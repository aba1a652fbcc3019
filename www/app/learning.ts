/** The ladder: methods judged and learnt one after the other, on the project's photos, and going on after whatever happens. */
import type { Engine, TrainEvent } from '../engine/engine.ts';
import { fill } from '../engine/engine.ts';
import { LowshotError } from '../engine/error.ts';
import { type Numerics, numericsOf } from '../engine/numerics.ts';
import type { RungResult as CoreResult } from '../engine/protocol.ts';
import type { Container } from './container.ts';
import { IDLE } from './empty.ts';
import { CHECKPOINT, type Learnt, type LearntContents } from './learnt.ts';
import type { Models } from './models.ts';
import type { Notices } from './notices.ts';
import type { Photos } from './photos.ts';
import type { Projects } from './projects.ts';
import type { TrainingRecord } from './record.ts';
import { expectedSeconds, rungOptions } from './settings.ts';
import type { HeldOut, Id, Method, Rung, RungResult, Training } from './state.ts';

export const DEFAULT_TEMPLATE = 'a photo of a {}.';
/** What takes longer is done only when it is asked for, in seconds. */
const PATIENCE = 600;
/** Losses that are drawn at most. */
const MOST_LOSSES = 2000;

/** What a ladder is of. */
interface Subject {
  readonly samples: readonly Id[];
  readonly labels: readonly number[];
  /** Of the classes. */
  readonly names: readonly string[];
  readonly templates: readonly string[];
  readonly modelSha256: string;
  /** Of the photos' features. */
  readonly numerics: Numerics;
}

export class Learning {
  #subject: Subject | undefined;
  /** Whether the engine has what the training is of; until then names answer. */
  #grounded = false;
  #abort: AbortController | undefined;
  #paused: { promise: Promise<void>; end: () => void } | undefined;
  /** Resolves when nothing that was begun goes on. */
  #idle: Promise<void> = Promise.resolve();

  constructor(
    private readonly container: Container,
    private readonly learnt: Learnt,
    private readonly engine: Engine,
    private readonly photos: Photos,
    private readonly projects: Projects,
    private readonly models: Models,
    private readonly notices: Notices,
  ) {
    projects.training = () => this.#record();
  }

  get templates(): readonly string[] {
    const { templates } = this.container.state.project;
    return templates.length > 0 ? templates : [DEFAULT_TEMPLATE];
  }

  /** The classes that answers are of, if something was learnt. */
  get classes(): readonly Id[] | undefined {
    return this.#grounded ? this.container.state.training.classes : undefined;
  }

  /** Learns the whole ladder from the project as it is, unless another comes first. */
  async train(): Promise<void> {
    const { projectId } = this.projects;
    await this.#climbing(async (signal) => {
      const { project, settings } = this.container.state;
      if (project.id !== projectId) return;
      const cards = project.classes.filter(({ enabled, samples }) => enabled && samples.length > 0);
      if (cards.length < 2) {
        this.notices.problem('There must be two classes at least, each with photos.');
        return;
      }
      const photos = cards.flatMap((card, label) => card.samples.filter(({ state }) => state !== 'failed').map(({ id }) => ({ id, label })));
      const ladder = settings.methods.map((method): Rung => ({ method, status: 'waiting' }));
      this.#grounded = false;
      this.container.update({ training: { ...IDLE, status: 'running', classes: cards.map(({ id }) => id), ladder } });
      const info = await this.models.ready();
      const [samples, labels] = [photos.map(({ id }) => id), photos.map(({ label }) => label)];
      const { features, numerics } = await this.photos.features(samples);
      const names = cards.map(({ name }) => name);
      this.#subject = { samples, labels, names, templates: this.templates, modelSha256: info.sha256, numerics };
      await this.learnt.forget();
      await this.#ground(features);
      await this.#climb(signal);
    });
  }

  pause(): void {
    if (this.#paused || this.container.state.training.status !== 'running') return;
    let end = (): void => undefined;
    const promise = new Promise<void>((resolve) => (end = resolve));
    this.#paused = { promise, end };
    this.#update({ status: 'paused' });
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused.end();
    this.#paused = undefined;
    this.#update({ status: 'running' });
  }

  /** Keeps what is done. */
  async stop(): Promise<void> {
    this.#abort?.abort();
    this.resume();
    await this.#idle;
  }

  async use(method: Method): Promise<void> {
    await this.engine.choose(method);
    this.#update({ used: method });
    this.projects.save();
  }

  /** A rung that was skipped, stopped or has failed. */
  async runRung(method: Method): Promise<void> {
    if (!this.#subject || this.container.state.training.status === 'running') return;
    const { ladder } = this.container.state.training;
    const others = ladder.filter((rung) => rung.method !== method);
    const asked: Rung = { method, status: 'waiting' };
    this.#update({ ladder: ladder.some((rung) => rung.method === method) ? ladder.map((rung) => (rung.method === method ? asked : rung)) : [...others, asked] });
    await this.#climbing((signal) => this.#climb(signal, true));
  }

  /**
   * Takes up what was stored with a project, where nothing is learnt since: what was learnt answers again, and a ladder that was cut off
   * goes on.
   */
  async restore(record: TrainingRecord | undefined): Promise<void> {
    const info = await this.models.ready();
    // Photos may be looked at for long before it comes to this, and somebody may have begun to learn from them.
    if (!record || record.modelSha256 !== info.sha256 || this.container.state.training.status !== 'idle') return;
    const { samples, names, templates, modelSha256, numerics: then = 'f32', ...training } = record;
    const cards = new Map(this.container.state.project.classes.map((card) => [card.id, card]));
    const labels = this.#labels(record);
    if (record.classes.some((id) => !cards.has(id)) || !labels) return;
    const subject = { samples, labels, names, templates, modelSha256, numerics: then };
    this.#subject = subject;
    const cutOff = training.status === 'running' || training.status === 'paused';
    const ladder = training.ladder.map(({ progress: _, ...rung }): Rung => (rung.status === 'running' ? { ...rung, status: 'waiting' } : rung));
    const status = cutOff && training.status === 'paused' ? 'paused' : cutOff ? 'running' : training.status;
    this.container.update({ training: { ...training, status, ladder, curve: null, stale: false } });
    this.checkStale();
    await this.#climbing(async (signal) => {
      // By the same features as then, or a checkpoint would be of something else.
      const { features, numerics } = await this.photos.features(samples, then);
      if (this.#subject === subject) this.#subject = { ...subject, numerics };
      await this.#ground(features);
      await this.#takeLearnt();
      if (!cutOff) return;
      if (training.status === 'paused') {
        this.container.update(({ training }) => ({ training: { ...training, status: 'running' } }));
        this.pause();
      }
      await this.#climb(signal);
    });
  }

  /** Whether photos or classes are others than those that were learnt from; what can no longer answer is let go. */
  checkStale(): void {
    const { training, project } = this.container.state;
    if (training.status === 'idle' || !this.#subject) return;
    const imported = this.#subject.samples.length === 0;
    const enabled = project.classes.filter((card) => card.enabled && (imported || card.samples.length > 0));
    const { samples, names, templates } = this.#subject;
    const pairs: readonly (readonly [readonly string[], readonly string[]])[] = [
      [enabled.map(({ id }) => id), training.classes],
      [enabled.map(({ name }) => name), names],
      // An imported adapter is of no photos here.
      [imported ? [] : enabled.flatMap(({ samples }) => samples.filter(({ state }) => state !== 'failed').map(({ id }) => id)), samples],
      [this.templates, templates],
    ];
    const stale = pairs.some(([now, then]) => now.length !== then.length || now.some((value, index) => value !== then[index]));
    if (stale !== training.stale) this.#update({ stale });
  }

  /** An imported adapter is what is learnt now. */
  async adopt(kept: LearntContents, classes: readonly { readonly id: Id; readonly name: string }[], templates: readonly string[]): Promise<void> {
    const info = await this.models.ready();
    const method = kept.method as Method;
    this.#subject = { samples: [], labels: [], names: classes.map(({ name }) => name), templates, modelSha256: info.sha256, numerics: numericsOf(info) };
    await this.learnt.put(method, kept);
    this.#grounded = true;
    this.container.update({ training: { ...IDLE, status: 'done', classes: classes.map(({ id }) => id), used: method, ladder: [{ method, status: 'done' }] } });
    this.projects.save();
  }

  /** Nothing is learnt any more, by this model or in the project that `show` shows, if it can. */
  clear(show = async (): Promise<void> => undefined): Promise<void> {
    return this.alone(async () => {
      await show();
      this.#subject = undefined;
      this.#grounded = false;
      this.container.update({ training: IDLE });
    });
  }

  /** Stops learning, and lets nobody begin before `work` is done: what is learnt from, and what answers, change in it. */
  alone<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    void this.stop();
    const abort = new AbortController();
    this.#abort = abort;
    const done = this.#idle.then(() => work(abort.signal));
    this.#idle = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  /** The labels of the samples that a stored training is of, by where the photos are now. */
  #labels({ classes, samples, ladder }: TrainingRecord): number[] | undefined {
    const told = new Map(ladder.flatMap(({ result }) => result?.predictions ?? []).map(({ sample, label }) => [sample, label]));
    const lies = new Map(this.container.state.project.classes.flatMap((card) => card.samples.map(({ id }) => [id, classes.indexOf(card.id)])));
    const labels = samples.map((id) => told.get(id) ?? lies.get(id) ?? -1);
    return labels.some((label) => label < 0) ? undefined : labels;
  }

  async #ground(features: Float32Array): Promise<void> {
    const subject = this.#subject;
    if (!subject) return;
    const classes = subject.names.map((name) => ({ name, prompts: subject.templates.map((template) => fill(template, name)) }));
    await this.engine.setGround({ classes, features, labels: subject.labels });
    this.#grounded = this.#subject === subject;
  }

  /** Does what can be stopped and is shown. */
  #climbing(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    return this.alone(async (signal) => {
      if (signal.aborted) return;
      try {
        await work(signal);
      } catch (error) {
        const { kind, message } = LowshotError.from(error);
        if (kind !== 'cancelled') {
          this.notices.problem(`Training stopped: ${message}.`);
          this.#update({ status: 'failed', problem: message });
        }
      }
      const { training } = this.container.state;
      const ladder = training.ladder.map((rung): Rung => (rung.status === 'running' || rung.status === 'waiting' ? { method: rung.method, status: 'skipped' } : rung));
      const status = training.status === 'failed' || training.status === 'idle' ? training.status : 'done';
      this.#update({ status, ladder, curve: training.curve });
      this.checkStale();
      this.projects.save();
    });
  }

  async #climb(signal: AbortSignal, patient = false): Promise<void> {
    this.#update({ status: 'running' });
    for (const { method, status } of this.container.state.training.ladder) {
      if (status !== 'waiting' || signal.aborted) continue;
      const { settings, model } = this.container.state;
      const expected = expectedSeconds(settings, model, method);
      if (!patient && expected > PATIENCE) {
        this.#rung(method, { status: 'skipped', expectedSeconds: expected });
        continue;
      }
      try {
        await this.#run(method, signal);
      } catch (error) {
        const { kind, message } = LowshotError.from(error);
        // Where nobody has stopped it, its model is gone, and with it all that could be chosen of.
        if (kind === 'cancelled' && !signal.aborted) return;
        if (kind === 'cancelled') break;
        if (kind === 'died' || kind === 'lost' || kind === 'storage') throw error;
        this.#rung(method, { status: 'failed', problem: message });
      }
    }
    await this.#chooseBest();
    await this.#map();
  }

  async #run(method: Method, signal: AbortSignal): Promise<void> {
    const subject = this.#subject;
    if (!subject) return;
    const stored = await this.learnt.get(CHECKPOINT).catch(() => undefined);
    const start = performance.now();
    let idle = 0;
    this.#rung(method, { status: 'running', progress: { fraction: 0, stage: 'check', fold: 0, folds: 0 } });
    this.#update({ curve: null });
    this.projects.save();
    const events = this.engine.train({
      rung: rungOptions(this.container.state.settings, method),
      pictures: (wanted) => this.photos.wanted(subject.samples, wanted),
      templates: subject.templates,
      checkpoint: stored?.method === method ? stored.adapter : undefined,
      signal,
    });
    for await (const event of events) {
      if (event.kind === 'progress') this.#showProgress(method, event);
      if (event.kind === 'checkpoint') await this.learnt.keep(CHECKPOINT, { method, adapter: event.bytes });
      if (event.kind === 'done') {
        await this.learnt.keep(method, { method, ...event.kept });
        await this.learnt.drop(CHECKPOINT);
        this.#rung(method, { status: 'done', result: this.#result(method, event.result, (performance.now() - start - idle) / 1000) });
        await this.#chooseBest();
        this.projects.save();
      }
      const before = performance.now();
      await this.#paused?.promise;
      idle += performance.now() - before;
    }
  }

  #showProgress(method: Method, event: Extract<TrainEvent, { kind: 'progress' }>): void {
    const { fraction, stage, fold, folds, step, steps, losses } = event;
    this.#rung(method, { status: 'running', progress: { fraction, stage, fold, folds } });
    if (losses.length === 0) return;
    this.container.update(({ training }) => {
      // Each part begins a curve; one that goes on from a checkpoint overwrites what it does again.
      const before = training.curve?.method === method ? training.curve.losses : [];
      const all = [...before.slice(0, Math.max(0, step - losses.length)), ...losses].slice(-MOST_LOSSES);
      return { training: { ...training, curve: { method, losses: all, steps } } };
    });
  }

  #result(method: Method, { predictions, ...result }: CoreResult, seconds: number): RungResult {
    const of = (example: number): Id => this.#subject?.samples[example] ?? '';
    const heldOut = predictions.map(({ example, ...rest }): HeldOut => ({ sample: of(example), ...rest }));
    return { ...result, method, predictions: heldOut, seconds };
  }

  /** The method with the most photos right answers; of equals the simplest, which comes first. */
  async #chooseBest(): Promise<void> {
    const done = this.container.state.training.ladder.flatMap(({ result }) => (result ? [result] : []));
    const best = done.reduce<RungResult | undefined>((best, result) => (best && best.correct >= result.correct ? best : result), undefined);
    if (best) await this.use(best.method);
  }

  async #map(): Promise<void> {
    const samples = this.#subject?.samples ?? [];
    if (samples.length < 3 || this.container.state.training.map) return;
    const points = await this.engine.map();
    this.#update({ map: samples.map((sample, index) => ({ sample, x: points[2 * index] ?? 0, y: points[2 * index + 1] ?? 0 })) });
  }

  async #takeLearnt(): Promise<void> {
    const { training } = this.container.state;
    for (const { method, status } of training.ladder) {
      const kept = status === 'done' ? await this.learnt.get(method) : undefined;
      if (!kept?.examples || kept.calibration === undefined) continue;
      const { adapter, calibration, examples } = kept;
      await this.engine.restore('what was learnt', { adapter, calibration, examples });
    }
    if (training.used) await this.engine.choose(training.used);
  }

  #rung(method: Method, change: Omit<Rung, 'method'>): void {
    this.container.update(({ training }) => ({
      training: { ...training, ladder: training.ladder.map((rung) => (rung.method === method ? { method, ...change } : rung)) },
    }));
  }

  #update(change: Partial<Training>): void {
    this.container.update(({ training }) => ({ training: { ...training, ...change } }));
  }

  #record(): TrainingRecord | undefined {
    const { curve: _, stale: __, ...training } = this.container.state.training;
    if (!this.#subject || training.status === 'idle') return undefined;
    const { labels: ___, ...subject } = this.#subject;
    return { ...training, ...subject };
  }
}
