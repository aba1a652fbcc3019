// Lowshot's side on the page: its npm package, bundled by bundle.mjs and served at /lowshot/. All that run.mjs assumes of its API is here.

export async function open({ device, weights = 'auto', words, labels }) {
  const { Lowshot } = await import('/lowshot/lowshot.js');
  // The labels are whole sentences already.
  const clip = await Lowshot.load({ model: 'demo', device, weights, templates: ['{}'] });
  if (words) for (const label of labels) clip.addClass(label);
  return {
    about: { threads: null, version: null },
    features: (blobs) => clip.imageFeatures(blobs),
    // The tower alone: it has no measurement with its preprocessing and without decoding.
    measure: async (kind, batch, passes) => (await clip.measure({ batch, rounds: passes })).imagesPerSecond,
    async classify(blob) {
      const [{ probabilities }] = await clip.classify(blob);
      return labels.map((label) => probabilities[label]);
    },
  };
}
