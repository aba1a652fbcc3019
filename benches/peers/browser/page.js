// One contender in a page of its own, the same page for both sides. `?options=` (JSON) says which; run.mjs calls `contender`.
//
// A side is a module (peer.js, lowshot.js) with `open(options)`, which gives
//   about                             what it runs on, for the table
//   features(blobs)                   image files -> features, everything included
//   measure(kind, batch, passes)      images a second of a part of that ('processed', 'tower')
//   classify(blob, labels, scale)     probabilities of text labels; asked for only where `options.words` is set

const options = JSON.parse(new URLSearchParams(location.search).get('options'));
const load = async (tile) => (await fetch(`/tiles/${tile}`)).blob();

const opened = import(`./${options.side}.js`).then((side) => side.open(options));
const tiles = Promise.all(options.tiles.map(load));

globalThis.contender = {
  about: async () => (await opened).about,

  /// Milliseconds since the navigation began at which the first tile is classified.
  async first() {
    const side = await opened;
    const probabilities = await side.classify((await tiles)[0], options.labels, options.scale);
    return { milliseconds: performance.now(), probabilities: Array.from(probabilities) };
  },

  features: async () => (await (await opened).features(await tiles)).map((feature) => Array.from(feature)),

  /// Images a second over `passes` batches. 'files' is timed here, on the page, so that it holds a worker's messages too.
  async turn({ kind, batch, passes }) {
    const side = await opened;
    if (kind !== 'files') return side.measure(kind, batch, passes);
    const blobs = (await tiles).slice(0, batch);
    const start = performance.now();
    for (let pass = 0; pass < passes; pass++) await side.features(blobs);
    return (passes * batch * 1e3) / (performance.now() - start);
  },
};
