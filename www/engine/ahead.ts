/**
 * What `make` makes of each, in order: one is made at a time, while whoever asks is busy with those before, and at most `most` before they
 * are asked for. What cannot be made fails when it is asked for.
 */
export async function* ahead<A, B>(items: readonly A[], most: number, make: (item: A) => Promise<B>): AsyncGenerator<B, void, void> {
  const waiting: Promise<B>[] = [];
  let last: Promise<unknown> = Promise.resolve();
  let asked = 0;
  const ask = (): void => {
    for (const item of items.slice(asked, asked + most - waiting.length)) {
      const made = last.then(() => make(item));
      waiting.push(made);
      last = made.catch(() => undefined);
      asked++;
    }
  };
  ask();
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const made = await next;
    ask();
    yield made;
  }
}

/** The same, `size` at a time. */
export async function* batches<A>(all: AsyncIterable<A>, size: number): AsyncGenerator<readonly A[], void, void> {
  let batch: A[] = [];
  for await (const one of all) {
    batch.push(one);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
