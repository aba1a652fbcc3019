/** SHA-256 by the browser itself, or by the core where the page is not on a secure address and the browser has none. */
import type { Handle } from '../engine/handle.ts';
import type { Hasher } from './pieces.ts';

export function hasher(worker: () => Promise<Handle>): Hasher {
  // The core's hash is of one thing at a time.
  let queue: Promise<unknown> = Promise.resolve();
  const byCore = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> => {
    const handle = await worker();
    await handle.call('hash', [bytes]);
    return (await handle.call('hash', [undefined])) ?? '';
  };
  return {
    async digest(bytes) {
      if (crypto.subtle) return hexadecimal(await crypto.subtle.digest('SHA-256', bytes));
      const found = queue.then(() => byCore(bytes));
      queue = found.catch(() => undefined);
      return found;
    },
  };
}

function hexadecimal(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
