// transformers.js with the exported model, offline: the library, ONNX Runtime's wasm and the model all come from run.mjs.

import {
  AutoProcessor, AutoTokenizer, CLIPTextModelWithProjection, CLIPVisionModelWithProjection, RawImage, env,
} from '/node_modules/@huggingface/transformers/dist/transformers.min.js';

let processor, tokenizer, vision, text;
const prepared = new Map();

const read = (blobs) => Promise.all(blobs.map((blob) => RawImage.fromBlob(blob)));

/// Features of images: [batch, width], as one array an image. Reading `data` waits for the result, on WebGPU too.
async function tower(pixels) {
  const { image_embeds: embeds } = await vision(pixels);
  const width = embeds.dims[1];
  return Array.from({ length: embeds.dims[0] }, (_, image) => embeds.data.slice(image * width, (image + 1) * width));
}

const unit = (vector) => {
  const norm = Math.hypot(...vector);
  return Array.from(vector, (value) => value / norm);
};

const calls = {
  async open({ model, tiles, device, dtype, threads, build, words }) {
    env.allowLocalModels = true;
    env.allowRemoteModels = false;
    env.localModelPath = '/models/';
    const runtime = `/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded${build}`;
    env.backends.onnx.wasm.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };
    if (threads) env.backends.onnx.wasm.numThreads = threads;

    const session = { device, dtype };
    [processor, vision, tokenizer, text] = await Promise.all([
      AutoProcessor.from_pretrained(model),
      CLIPVisionModelWithProjection.from_pretrained(model, session),
      words && AutoTokenizer.from_pretrained(model),
      words && CLIPTextModelWithProjection.from_pretrained(model, session),
    ]);
    // Decoded once, for the measurements that leave decoding or preparing out.
    if (!words) {
      const images = await read(await Promise.all(tiles.map(async (tile) => (await fetch(`/tiles/${tile}`)).blob())));
      for (const batch of [1, 8]) {
        const some = images.slice(0, batch);
        prepared.set(batch, { images: some, pixels: await processor(some) });
      }
    }
    return { version: env.version, threads: env.backends.onnx.wasm.numThreads ?? null };
  },

  features: async (blobs) => tower(await processor(await read(blobs))),

  async measure(kind, batch, passes) {
    const { images, pixels } = prepared.get(batch);
    const start = performance.now();
    for (let pass = 0; pass < passes; pass++) await tower(kind === 'processed' ? await processor(images) : pixels);
    return (passes * batch * 1e3) / (performance.now() - start);
  },

  async classify(blob, labels, scale) {
    const [[image], { text_embeds: embeds }] = await Promise.all([
      calls.features([blob]),
      text(tokenizer(labels, { padding: true, truncation: true })),
    ]);
    const query = unit(image);
    const scores = labels.map((_, label) => {
      const words = unit(embeds.data.subarray(label * query.length, (label + 1) * query.length));
      return scale * query.reduce((sum, value, index) => sum + value * words[index], 0);
    });
    const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  },
};

onmessage = async ({ data: { id, name, values } }) => {
  try {
    postMessage({ id, value: await calls[name](...values) });
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
};
