/**
 * SHA-256 by the browser itself, or by the core where the page is not on a secure address and the browser has none. The browser first
 * copies what it is given, so what is large goes to a Worker for it.
 */
import { hexadecimal } from '../engine/hash.ts';
import type { Hashed, Hasher } from './pieces.ts';

/** `worker` takes bytes away and brings them back. */
export function hasher(worker: (bytes: Uint8Array<ArrayBuffer>) => Promise<Hashed>): Hasher {
  return {
    async digest(bytes) {
      if (crypto.subtle) return hexadecimal(await crypto.subtle.digest('SHA-256', bytes));
      return (await worker(bytes.slice())).sha256;
    },
    whole: worker,
  };
}
