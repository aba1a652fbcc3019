/** Damage at random to what is read as JSON. */

/** Values that programs stumble over; what is made of JSON, so that `__proto__` is a key like others. */
const JUNK: readonly string[] = [
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e999',
  '""',
  '"x"',
  '"line\\nline"',
  '"../../x"',
  '"__proto__"',
  '[]',
  '[null]',
  '[[]]',
  '{}',
  '{"toString":null,"valueOf":null}',
  '{"toJSON":1}',
  '{"length":3}',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
];

type Tree = Record<string, unknown>;

/** One to three values of a tree are replaced, taken out, doubled or moved, or get a neighbour; sometimes the text is cut or has a slip. */
export function damaged(json: string, random: () => number): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const root: Tree = { value: JSON.parse(json) };
  for (let left = pick([1, 1, 2, 3]); left > 0; left--) damageOnce(root, pick);
  const text = JSON.stringify(root['value'] ?? null);
  if (random() < 0.9) return text;
  const at = Math.floor(random() * text.length);
  return pick([text.slice(0, at), text.slice(0, at) + pick(['"', '}', ',', '\u0000', 'null']) + text.slice(at + 1)]);
}

function damageOnce(root: Tree, pick: <T>(list: readonly T[]) => T): void {
  const places: (readonly [parent: Tree, key: string])[] = [];
  const walk = (parent: Tree): void => {
    for (const key of Object.keys(parent)) {
      places.push([parent, key]);
      if (typeof parent[key] === 'object' && parent[key] !== null) walk(parent[key] as Tree);
    }
  };
  walk(root);
  if (places.length === 0) return;
  const [parent, key] = pick(places);
  const [other, otherKey] = pick(places);
  const junk = (): unknown => JSON.parse(pick(JUNK));
  const define = (name: string, value: unknown): void =>
    void Object.defineProperty(parent, name, { value, enumerable: true, configurable: true, writable: true });
  pick([
    () => define(key, junk()),
    () => define(key, junk()),
    () => delete parent[key],
    () => define(pick(['__proto__', 'constructor', 'toString', 'other']), junk()),
    () => (Array.isArray(parent) ? parent.push(structuredClone(parent[0])) : define(key, [parent[key]])),
    () => define(key, structuredClone(other[otherKey])),
  ])();
}
