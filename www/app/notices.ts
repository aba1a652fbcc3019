/** Messages for the visitor. */
import { LowshotError } from '../engine/error.ts';
import { type Container, newId } from './container.ts';
import type { Notice } from './state.ts';

/** Good news goes by itself. */
const SHOWN_FOR = 6000;
/** More at a time nobody reads. */
const MOST = 4;

/** What went wrong as a sentence; one that begins with a file's name leaves that as it is. */
export function sentence(message: string): string {
  const begins = /^[^:]*\.\w{1,12}: /.test(message) ? message : `${message[0]?.toUpperCase() ?? ''}${message.slice(1)}`;
  return /[.?!]$/.test(begins) ? begins : `${begins}.`;
}

export class Notices {
  constructor(private readonly container: Container) {}

  good(text: string): void {
    const notice = this.#add({ kind: 'good', text });
    setTimeout(() => this.dismiss(notice), SHOWN_FOR);
  }

  info(text: string, action?: Notice['action']): void {
    this.#add({ kind: 'info', text, ...(action ? { action } : {}) });
  }

  /** `lines` say the same of each of many. */
  problem(text: string, lines?: readonly string[]): void {
    this.#add({ kind: 'problem', text, ...(lines ? { lines } : {}) });
  }

  /** Does something; what goes wrong becomes a notice. */
  async told(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { kind, message } = LowshotError.from(error);
      if (kind !== 'cancelled') this.problem(sentence(message));
    }
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
