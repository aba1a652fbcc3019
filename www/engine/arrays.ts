/** Numbers of several arrays, end to end in a new one. */
export function concatenated<A extends Uint8Array | Float32Array>(Kind: new (length: number) => A, parts: readonly ArrayLike<number>[]): A {
  const all = new Kind(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
