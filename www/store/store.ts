/**
 * What the page keeps: projects, photos, what the model made of them, and models' files. One interface, two places: the browser's
 * database, or memory where the browser refuses to store anything.
 */
import { type DBSchema, type IDBPDatabase, deleteDB, openDB } from 'idb';
import { LowshotError } from '../engine/error.ts';

export interface PhotoRecord {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly original: Blob;
  readonly thumbnail: Blob;
  readonly width: number;
  readonly height: number;
}

/** A photo as models with this preprocessing see it. */
export interface ViewRecord {
  readonly key: string;
  readonly project: string;
  readonly pixels: Uint8Array<ArrayBuffer>;
}

/** A photo's features by a model. */
export interface FeatureRecord {
  readonly key: string;
  readonly project: string;
  readonly features: Float32Array<ArrayBuffer>;
}

/** What was learnt by a method in a project, or a training under way. */
export interface LearntRecord {
  readonly key: string;
  readonly project: string;
  readonly method: string;
  /** An adapter file, or a checkpoint. */
  readonly adapter: Uint8Array<ArrayBuffer>;
  readonly calibration?: string;
  readonly examples?: Float32Array<ArrayBuffer>;
}

/** A piece of a model's file. */
export interface PieceRecord {
  readonly key: string;
  readonly model: string;
  readonly bytes: Blob;
  /** Of these bytes, to find what the disk has spoilt. */
  readonly sha256: string;
}

/** A model whose files have been fetched: what they are, and where from. */
export interface ModelRecord {
  readonly key: string;
  readonly json: string;
}

export interface ProjectRow {
  readonly id: string;
  readonly savedAt: number;
  /** The project as JSON: it is written as a whole, often. */
  readonly json: string;
}

export interface Tables {
  projects: ProjectRow;
  photos: PhotoRecord;
  views: ViewRecord;
  features: FeatureRecord;
  learnt: LearntRecord;
  pieces: PieceRecord;
  models: ModelRecord;
}

export type TableName = keyof Tables;

/** Where records lie. Whatever fails is a `LowshotError` of the kind "storage". */
export interface Store {
  readonly mode: 'persistent' | 'memory';
  get<T extends TableName>(table: T, key: string): Promise<Tables[T] | undefined>;
  /** All at once or none. */
  put<T extends TableName>(table: T, records: readonly Tables[T][]): Promise<void>;
  delete(table: TableName, keys: readonly string[]): Promise<void>;
  /** Those whose `project` (of pieces: `model`) is `group`; all, without one. */
  keys(table: TableName, group?: string): Promise<string[]>;
  all<T extends 'projects' | 'models'>(table: T): Promise<Tables[T][]>;
  /** Bytes that are used, and that may be used; nothing where the browser does not tell. */
  estimate(): Promise<{ used: number; quota: number } | undefined>;
}

const NAME = 'lowshot';
const VERSION = 1;

/** The field that is the key, and the one that groups. */
const SHAPES: Record<TableName, readonly [key: string, group?: string]> = {
  projects: ['id'],
  photos: ['id', 'project'],
  views: ['key', 'project'],
  features: ['key', 'project'],
  learnt: ['key', 'project'],
  pieces: ['key', 'model'],
  models: ['key'],
};

type Schema = DBSchema & { [T in TableName]: { key: string; value: Tables[T]; indexes: { group: string } } };

/** The database, or memory where there is none. `problem` says why. */
export async function openStore(): Promise<{ store: Store; problem?: string }> {
  try {
    const database = await openDB<Schema>(NAME, VERSION, {
      upgrade(database) {
        for (const [name, [key, group]] of Object.entries(SHAPES)) {
          const table = database.createObjectStore(name as TableName, { keyPath: key });
          if (group) table.createIndex('group', group);
        }
      },
      // Another tab wants a newer version: it must not wait for this one.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
    });
    return { store: new DatabaseStore(database) };
  } catch (error) {
    const { message } = LowshotError.from(error);
    return { store: new MemoryStore(), problem: `this browser does not let the page store anything (${message})` };
  }
}

/** Everything goes, of all projects. */
export async function forgetEverything(): Promise<void> {
  await deleteDB(NAME);
}

class DatabaseStore implements Store {
  readonly mode = 'persistent';
  readonly #database: IDBPDatabase<Schema>;

  constructor(database: IDBPDatabase<Schema>) {
    this.#database = database;
  }

  get<T extends TableName>(table: T, key: string): Promise<Tables[T] | undefined> {
    return told(() => this.#database.get(table, key) as Promise<Tables[T] | undefined>);
  }

  put<T extends TableName>(table: T, records: readonly Tables[T][]): Promise<void> {
    return told(async () => {
      const transaction = this.#database.transaction(table, 'readwrite');
      try {
        await Promise.all([...records.map(async (record) => transaction.store.put(record as never)), transaction.done]);
      } catch (error) {
        // A record that is refused before it is written does not end the transaction: those before it would stay.
        abort(transaction);
        throw transaction.error ?? error;
      }
    });
  }

  delete(table: TableName, keys: readonly string[]): Promise<void> {
    return told(async () => {
      const transaction = this.#database.transaction(table, 'readwrite');
      await Promise.all([...keys.map((key) => transaction.store.delete(key)), transaction.done]);
    });
  }

  keys(table: TableName, group?: string): Promise<string[]> {
    return told(() => (group === undefined ? this.#database.getAllKeys(table) : this.#database.getAllKeysFromIndex(table, 'group', group)));
  }

  all<T extends 'projects' | 'models'>(table: T): Promise<Tables[T][]> {
    return told(() => this.#database.getAll(table) as Promise<Tables[T][]>);
  }

  async estimate(): Promise<{ used: number; quota: number } | undefined> {
    const found = await navigator.storage?.estimate().catch(() => undefined);
    return found?.usage === undefined || found.quota === undefined ? undefined : { used: found.usage, quota: found.quota };
  }
}

/** Memory only: everything goes with the tab. */
export class MemoryStore implements Store {
  readonly mode = 'memory';
  readonly #tables = new Map<TableName, Map<string, Record<string, unknown>>>();

  #table(name: TableName): Map<string, Record<string, unknown>> {
    let table = this.#tables.get(name);
    if (!table) this.#tables.set(name, (table = new Map()));
    return table;
  }

  async get<T extends TableName>(table: T, key: string): Promise<Tables[T] | undefined> {
    return this.#table(table).get(key) as Tables[T] | undefined;
  }

  async put<T extends TableName>(table: T, records: readonly Tables[T][]): Promise<void> {
    for (const record of records as readonly unknown[] as Record<string, unknown>[]) {
      this.#table(table).set(record[SHAPES[table][0]] as string, record);
    }
  }

  async delete(table: TableName, keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#table(table).delete(key);
  }

  async keys(table: TableName, group?: string): Promise<string[]> {
    const by = SHAPES[table][1];
    const found = [...this.#table(table)].filter(([, record]) => group === undefined || (by && record[by] === group));
    return found.map(([key]) => key).sort();
  }

  async all<T extends 'projects' | 'models'>(table: T): Promise<Tables[T][]> {
    return [...this.#table(table).values()] as unknown as Tables[T][];
  }

  async estimate(): Promise<undefined> {
    return undefined;
  }
}

function abort(transaction: { abort(): void }): void {
  try {
    transaction.abort();
  } catch {
    // It has ended by itself.
  }
}

/** What fails, in words that say what to do. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    const full = name === 'QuotaExceededError';
    const advice = full
      ? 'this browser gives the page no more room: delete projects or models that you do not need, or free some disk'
      : `the browser's storage fails (${LowshotError.from(error).message}): reload the page`;
    throw new LowshotError('storage', advice);
  }
}
