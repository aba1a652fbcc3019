/** What was learnt in the open project, as it is stored: one record a method, and the training under way. */
import { LowshotError } from '../engine/error.ts';
import type { LearntRecord, Store } from '../store/store.ts';
import type { Notices } from './notices.ts';
import type { Id } from './state.ts';

/** The name of the training under way, where others have their method's. */
export const CHECKPOINT = 'checkpoint';

export type LearntContents = Omit<LearntRecord, 'key' | 'project'>;

export class Learnt {
  constructor(
    private readonly store: Store,
    private readonly notices: Notices,
    private readonly projects: { readonly projectId: Id },
  ) {}

  get(name: string): Promise<LearntRecord | undefined> {
    return this.store.get('learnt', this.#key(name));
  }

  async put(name: string, contents: LearntContents): Promise<void> {
    await this.store.put('learnt', [{ key: this.#key(name), project: this.projects.projectId, ...contents }]);
  }

  /** What cannot be stored works all the same, until the page is closed. */
  async keep(name: string, contents: LearntContents): Promise<void> {
    await this.put(name, contents).catch((error: unknown) => this.notices.problem(`What was learnt could not be stored: ${LowshotError.from(error).message}.`));
  }

  /** What is left lying is of no harm. */
  async drop(name: string): Promise<void> {
    await this.store.delete('learnt', [this.#key(name)]).catch(() => undefined);
  }

  /** All of the project. */
  async forget(): Promise<void> {
    await this.store.delete('learnt', await this.store.keys('learnt', this.projects.projectId));
  }

  #key(name: string): string {
    return `${this.projects.projectId}\n${name}`;
  }
}
