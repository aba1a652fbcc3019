/** Answers for pictures. */
import { type Engine, fill } from '../engine/engine.ts';
import { LowshotError } from '../engine/error.ts';
import { type Pictures, fileOf } from '../engine/pictures.ts';
import type { Prediction, Prepared } from '../engine/protocol.ts';
import type { Container } from './container.ts';
import type { Learning } from './learning.ts';
import type { Models } from './models.ts';
import { type Notices, sentence } from './notices.ts';
import type { Answer, Attention, ClassCard, Looked, Method } from './state.ts';

export class Trying {
  constructor(
    private readonly container: Container,
    private readonly engine: Engine,
    private readonly pictures: Pictures,
    private readonly learning: Learning,
    private readonly models: Models,
    private readonly notices: Notices,
  ) {}

  /** By what was learnt, or by the classes' names where nothing was. */
  async classify(photo: Blob | ImageData, signal?: AbortSignal): Promise<Answer | undefined> {
    return this.#told(() => this.#byClasses(photo, signal));
  }

  async classifyByText(photo: Blob, names: readonly string[]): Promise<Answer | undefined> {
    return this.#told(() => this.#byNames(photo, names));
  }

  /** The same, for one of many pictures: what goes wrong with it is told beside it. */
  async look(photo: Blob, names?: readonly string[]): Promise<Looked> {
    try {
      const answer = await (names ? this.#byNames(photo, names) : this.#byClasses(photo));
      return answer ? { answer } : {};
    } catch (error) {
      const { kind, message } = LowshotError.from(error);
      return kind === 'cancelled' ? {} : { problem: sentence(message), unreadable: kind === 'image' };
    }
  }

  async attention(photo: Blob | ImageData): Promise<Attention | undefined> {
    return this.#told(async () => {
      const { pixels, box } = await this.#prepared(photo);
      const [grid] = await this.engine.attention(pixels);
      if (!grid) return undefined;
      const values = [...grid.values];
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return { side: grid.side, values: values.map((value) => (value - low) / Math.max(high - low, Number.EPSILON)), box };
    });
  }

  async #byClasses(photo: Blob | ImageData, signal?: AbortSignal): Promise<Answer | undefined> {
    const start = performance.now();
    const { pixels } = await this.#prepared(photo);
    if (signal?.aborted) return undefined;
    const cards = new Map(this.container.state.project.classes.map((card) => [card.id, card]));
    const learnt = this.learning.classes?.map((id) => cards.get(id));
    if (learnt && learnt.length > 0 && learnt.every((card) => card !== undefined)) {
      const [prediction] = await this.engine.classify(pixels);
      return prediction && this.#answer(prediction, learnt, this.container.state.training.used ?? 'zero-shot', start);
    }
    const enabled = [...cards.values()].filter((card) => card.enabled);
    return enabled.length === 0 ? undefined : this.#byText(pixels, enabled, this.learning.templates, start);
  }

  async #byNames(photo: Blob, names: readonly string[]): Promise<Answer | undefined> {
    const start = performance.now();
    const { pixels } = await this.#prepared(photo);
    const named = names.map((name, colour) => ({ id: name, name, colour }));
    return named.length === 0 ? undefined : this.#byText(pixels, named, this.learning.templates, start);
  }

  async #byText(pixels: Uint8Array<ArrayBuffer>, named: readonly Named[], templates: readonly string[], start: number): Promise<Answer | undefined> {
    const prompts = named.map(({ name }) => templates.map((template) => fill(template, name)));
    const [prediction] = await this.engine.classifyByText(pixels, prompts);
    return prediction && this.#answer(prediction, named, 'zero-shot', start);
  }

  #answer({ probabilities, best, unsure }: Prediction, classes: readonly Named[], method: Method, start: number): Answer {
    const shown = classes.map(({ id, name, colour }) => ({ id, name, colour }));
    return { probabilities, best, classes: shown, method, milliseconds: performance.now() - start, ...(unsure ? { unsure } : {}) };
  }

  async #prepared(photo: Blob | ImageData): Promise<Prepared> {
    const info = await this.models.ready();
    const blob = await fileOf(photo);
    return this.pictures.prepare(blob, blob instanceof File ? blob.name : 'the picture', info.preprocess);
  }

  async #told<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const { kind, message } = LowshotError.from(error);
      if (kind !== 'cancelled') this.notices.problem(sentence(message));
      return undefined;
    }
  }
}

type Named = Pick<ClassCard, 'id' | 'name' | 'colour'>;
