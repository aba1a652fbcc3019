/**
 * A model's files in pieces: each is stored as soon as it has come and carries its own hash, so that an interrupted download goes
 * on where it was, and what the disk has spoilt is found and fetched again, alone.
 */
import { LowshotError, check } from '../engine/error.ts';
import type { PieceRecord, Store } from './store.ts';

/** Small enough that copying one keeps the page for a few milliseconds only. */
export const PIECE = 2 << 20;
/** Milliseconds of putting bytes together after which the page gets its turn. */
const TURN = 8;
/** So often a download is taken up again without any progress in between. */
const ATTEMPTS = 5;
/** Milliseconds without a single byte that count as a connection that is gone. */
const STALL = 30_000;

/** A file to be fetched. */
export interface RemoteFile {
  readonly name: string;
  readonly url: string;
  readonly bytes: number;
  /** Where it is known. */
  readonly sha256?: string | undefined;
}

export interface Hasher {
  /** SHA-256 of some bytes, in hexadecimal. */
  digest(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
  /** The same of many, which are taken away and given back meanwhile. */
  whole(bytes: Uint8Array<ArrayBuffer>): Promise<Hashed>;
}

export interface Hashed {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sha256: string;
}

export interface FetchOptions {
  readonly store: Store;
  readonly hasher: Hasher;
  /** What pieces are stored under. */
  readonly model: string;
  /** Bytes of this file that are there. */
  readonly onProgress?: (done: number) => void;
  /** Pieces could not be stored; the file is complete in memory all the same. */
  readonly onUnstored?: (error: LowshotError) => void;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds before the first repetition; doubled for each. */
  readonly patience?: number;
  /** Milliseconds without a single byte that count as a connection that is gone. */
  readonly stall?: number;
}

/** Bytes over all files, and the file that is under way. */
export interface Downloaded {
  readonly done: number;
  readonly total: number;
  readonly file: string;
}

/** All files of a model by name. */
export async function fetchFiles(
  files: readonly RemoteFile[],
  { onProgress, ...options }: Omit<FetchOptions, 'onProgress'> & { readonly onProgress?: (progress: Downloaded) => void },
): Promise<ReadonlyMap<string, Uint8Array>> {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const found = new Map<string, Uint8Array>();
  let before = 0;
  for (const file of files) {
    const told = (done: number): void => onProgress?.({ done: before + done, total, file: file.name });
    found.set(file.name, await fetchFile(file, { ...options, onProgress: told }));
    before += file.bytes;
  }
  return found;
}

/** The whole file: what is stored and sound, and the rest from the network. */
export async function fetchFile(file: RemoteFile, options: FetchOptions): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(file.bytes);
  await fill(whole, file, options);
  if (!file.sha256) return whole;
  const first = await options.hasher.whole(whole);
  if (first.sha256 === file.sha256) return first.bytes;
  // Every piece was what it was when it came, so what came was wrong. Once more, from the beginning.
  await forget(file, options);
  await fill(first.bytes, file, options);
  const second = await options.hasher.whole(first.bytes);
  if (second.sha256 === file.sha256) return second.bytes;
  await forget(file, options);
  throw new LowshotError('network', `${file.name} of ${options.model} arrives damaged (its SHA-256 is not the one that is published): try again later`);
}

async function forget(file: RemoteFile, { store, model }: FetchOptions): Promise<void> {
  const count = Math.ceil(file.bytes / PIECE);
  await store.delete('pieces', Array.from({ length: count }, (_, index) => pieceKey(model, file.name, index)));
}

async function fill(whole: Uint8Array<ArrayBuffer>, file: RemoteFile, options: FetchOptions): Promise<void> {
  const { onProgress, signal } = options;
  const missing = await takeStored(whole, file.name, options);
  let done = file.bytes - missing.reduce((sum, index) => sum + sizeOf(index, file.bytes), 0);
  let told = 0;
  // What is lost of a piece comes a second time, but is not counted down.
  const tell = (bytes: number): void => onProgress?.((told = Math.max(told, bytes)));
  tell(done);
  let attempt = 0;
  while (missing.length > 0) {
    check(signal);
    const first = missing[0] ?? 0;
    const last = missing.findIndex((index, at) => index !== first + at);
    const run = missing.slice(0, last < 0 ? missing.length : last);
    try {
      for await (const index of arriving(whole, file, run, options, (bytes) => tell(done + bytes))) {
        missing.shift();
        tell((done += sizeOf(index, file.bytes)));
        attempt = 0;
      }
    } catch (error) {
      check(signal);
      const failure = LowshotError.from(error, 'network');
      if (failure.kind === 'usage' || ++attempt >= ATTEMPTS) throw failure;
      await passed((options.patience ?? 500) * 2 ** (attempt - 1), signal);
    }
  }
}

/** Resolves after a while, or when whoever asked has changed their mind. */
function passed(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Puts what is stored and sound where it belongs; gives the indices of what is missing. */
async function takeStored(whole: Uint8Array<ArrayBuffer>, name: string, { store, hasher, model }: FetchOptions): Promise<number[]> {
  const missing: number[] = [];
  for (let index = 0; index * PIECE < whole.length; index++) {
    const record = await store.get('pieces', pieceKey(model, name, index)).catch(() => undefined);
    // The disk may refuse to give what the database says it has.
    const bytes = record && (await record.bytes.arrayBuffer().catch(() => undefined));
    const sound = bytes?.byteLength === sizeOf(index, whole.length) && (await hasher.digest(new Uint8Array(bytes))) === record?.sha256;
    if (bytes && sound) whole.set(new Uint8Array(bytes), index * PIECE);
    else missing.push(index);
  }
  return missing;
}

/** Fetches neighbouring pieces by one request, stores each that is whole, and gives its index. */
async function* arriving(
  whole: Uint8Array<ArrayBuffer>,
  file: RemoteFile,
  run: readonly number[],
  { store, hasher, model, onUnstored, signal, stall }: FetchOptions,
  onBytes: (bytes: number) => void,
): AsyncGenerator<number> {
  const start = (run[0] ?? 0) * PIECE;
  const end = Math.min(((run.at(-1) ?? 0) + 1) * PIECE, file.bytes);
  let at = start;
  const response = await request(file, start, end, signal);
  if (response.status === 200) at = 0;
  const reader = response.body?.getReader();
  if (!reader) throw new LowshotError('network', `${file.name} arrives empty`);
  let next = 0;
  let since = performance.now();
  try {
    for (;;) {
      const { done, value } = await within(stall ?? STALL, reader.read(), file.name);
      if (done) break;
      // A server that does not know ranges sends everything; what is before and behind is there already.
      const useful = value.subarray(Math.max(0, start - at), Math.max(0, end - at));
      if (useful.length > 0) whole.set(useful, Math.max(at, start));
      at += value.length;
      while (next < run.length && at >= Math.min(((run[next] ?? 0) + 1) * PIECE, file.bytes)) {
        const index = run[next++] ?? 0;
        await keep(whole, file.name, index, { store, hasher, model }).catch((error: unknown) => onUnstored?.(LowshotError.from(error, 'storage')));
        yield index;
      }
      if (next === run.length) break;
      onBytes(Math.max(0, at - start - next * PIECE));
      // What arrives faster than it is read would be read in one long task.
      if (performance.now() - since > TURN) {
        await nextTask();
        since = performance.now();
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (next < run.length) throw new LowshotError('network', `the download of ${file.name} was cut off at ${at} of ${file.bytes} bytes`);
}

/** Resolves in a task of its own. Timers would be slowed down in a hidden tab. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(undefined);
  });
}

/** What comes in time, or a failure after which the download is taken up again. */
async function within<T>(milliseconds: number, coming: Promise<T>, name: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LowshotError('network', `the download of ${name} stands still`)), milliseconds);
  });
  try {
    return await Promise.race([coming, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function keep(whole: Uint8Array<ArrayBuffer>, name: string, index: number, { store, hasher, model }: Pick<FetchOptions, 'store' | 'hasher' | 'model'>): Promise<void> {
  const bytes = whole.slice(index * PIECE, (index + 1) * PIECE);
  const record: PieceRecord = { key: pieceKey(model, name, index), model, bytes: new Blob([bytes]), sha256: await hasher.digest(bytes) };
  await store.put('pieces', [record]);
}

async function request(file: RemoteFile, start: number, end: number, signal: AbortSignal | undefined): Promise<Response> {
  const headers: HeadersInit = start > 0 || end < file.bytes ? { range: `bytes=${start}-${end - 1}` } : {};
  const response = await fetch(file.url, { headers, signal: signal ?? null, credentials: 'omit', referrerPolicy: 'no-referrer' }).catch((error: unknown) => {
    throw LowshotError.from(error).kind === 'cancelled' ? error : new LowshotError('network', `${file.name} cannot be fetched: is there a network?`);
  });
  if (response.status === 200 || response.status === 206) return response;
  const { status } = response;
  const permanent = status >= 400 && status < 500 && status !== 408 && status !== 429;
  throw new LowshotError(permanent ? 'usage' : 'network', `${file.name} cannot be fetched: the server says ${status}`);
}

/** Stores a file that is already here. */
export async function storeFile(name: string, file: Blob, options: Pick<FetchOptions, 'store' | 'hasher' | 'model'>): Promise<void> {
  for (let index = 0; index * PIECE < file.size; index++) {
    const bytes = new Uint8Array(await file.slice(index * PIECE, (index + 1) * PIECE).arrayBuffer());
    const key = pieceKey(options.model, name, index);
    await options.store.put('pieces', [{ key, model: options.model, bytes: new Blob([bytes]), sha256: await options.hasher.digest(bytes) }]);
  }
}

function sizeOf(index: number, total: number): number {
  return Math.min(PIECE, total - index * PIECE);
}

function pieceKey(model: string, file: string, index: number): string {
  return `${model}\n${file}\n${index}`;
}
