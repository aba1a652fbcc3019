/** A file of a bit more than two pieces on a server, and what the tests of downloads ask for. */
import { hasher } from '../../../../www/store/hasher.ts';
import { type FetchOptions, PIECE, type RemoteFile } from '../../../../www/store/pieces.ts';
import { MemoryStore, type Store } from '../../../../www/store/store.ts';
import { randomBytes, sha256 } from '../support/bytes.ts';
import type { FileServer } from '../support/file-server.ts';

export const CONTENTS = randomBytes(2 * PIECE + 1000);
export const SHA256 = sha256(CONTENTS);
/** The Range header of the pieces from the second on, of the second alone, and of the last one. */
export const [FROM_SECOND, SECOND, LAST] = [
  `bytes=${PIECE}-${CONTENTS.length - 1}`,
  `bytes=${PIECE}-${2 * PIECE - 1}`,
  `bytes=${2 * PIECE}-${CONTENTS.length - 1}`,
];

export function remote(server: FileServer, change: Partial<RemoteFile> = {}): RemoteFile {
  return { name: 'model.safetensors', url: `${server.address}/model.safetensors`, bytes: CONTENTS.length, sha256: SHA256, ...change };
}

/** What a download is told, and what it has said: bytes that are there, and what could not be stored. */
export function asked(store: Store = new MemoryStore(), more: Partial<FetchOptions> = {}): FetchOptions & { progress: number[]; unstored: string[] } {
  const [progress, unstored]: [number[], string[]] = [[], []];
  const worker = (): Promise<never> => Promise.reject(new Error('the browser hashes by itself here'));
  return {
    store,
    hasher: { ...hasher(worker), whole: async (bytes) => ({ bytes, sha256: await sha256(bytes) }) },
    model: 'ViT-B/32',
    patience: 1,
    onProgress: (done) => progress.push(done),
    onUnstored: ({ kind }) => unstored.push(kind),
    progress,
    unstored,
    ...more,
  };
}

export function isMonotone(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => index === 0 || number >= (numbers[index - 1] ?? 0));
}
