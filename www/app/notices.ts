/** Messages for the visitor. */
import { type Container, newId } from './container.ts';
import type { Notice } from './state.ts';

/** Good news goes by itself. */
const SHOWN_FOR = 6000;
/** More at a time nobody reads. */
const MOST = 4;

export class Notices {
  constructor(private readonly container: Container) {}

  good(text: string): void {
    const notice = this.#add({ kind: 'good', text });
    setTimeout(() => this.dismiss(notice), SHOWN_FOR);
  }

  info(text: string, action?: Notice['action']): void {
    this.#add({ kind: 'info', text, ...(action ? { action } : {}) });
  }

  problem(text: string): void {
    this.#add({ kind: 'problem', text });
  }

  dismiss(id: string): void {
    this.container.update(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));
  }

  #add(notice: Omit<Notice, 'id'>): string {
    const id = newId();
    this.container.update(({ notices }) => {
      // The same again is the same.
      const others = notices.filter(({ text }) => text !== notice.text);
      return { notices: [...others, { ...notice, id }].slice(-MOST) };
    });
    return id;
  }
}
