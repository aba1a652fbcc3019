// A Worker of the page's, asked directly by its protocol (www/engine/protocol.ts).

import { readdirSync } from 'node:fs';
import path from 'node:path';

import { PAGE } from './browser.mjs';
import { root } from './samples.mjs';

function asset(pattern) {
  const found = readdirSync(path.join(root, 'dist', 'assets')).find((name) => pattern.test(name));
  if (!found) throw new Error(`dist has no ${pattern}: npm run build`);
  return new URL(`assets/${found}`, PAGE).href;
}

/**
 * Goes to an empty page of the same origin, and puts `ask(name, ...arguments)` there, which asks a Worker with the module started; with so
 * many `helpers`, which share its memory.
 */
export async function worker(page, kind, helpers = 0) {
  await page.goto(new URL('nothing-here', PAGE).href);
  const script = asset(/^worker-.*\.js$/);
  const wasm = asset({ cpu: /^lowshot_bg-.*\.wasm$/, relaxed: /^relaxed-.*\.wasm$/, threads: /^threads-.*\.wasm$/, gpu: /^gpu-.*\.wasm$/ }[kind]);
  return page.evaluate(
    async ([script, wasm, kind, helpers]) => {
      const asking = () => {
        const worker = new Worker(script, { type: 'module' });
        const waiting = new Map();
        worker.onmessage = ({ data }) => {
          if (data.fatal) for (const { reject } of waiting.values()) reject(new Error(data.fatal.message));
          if (data.failure) waiting.get(data.id)?.reject(new Error(data.failure.message));
          else waiting.get(data.id)?.resolve(data.value);
        };
        let id = 0;
        return (name, ...given) =>
          new Promise((resolve, reject) => {
            waiting.set(++id, { resolve, reject });
            worker.postMessage({ id, name, arguments: given });
          });
      };
      globalThis.ask = asking();
      globalThis.bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      globalThis.base64 = (bytes) => {
        let text = '';
        for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
        return btoa(text);
      };
      const module = await WebAssembly.compileStreaming(fetch(wasm));
      const { memory, ...start } = await globalThis.ask('start', kind, module);
      for (let count = 0; count < helpers; count++) {
        const helper = asking();
        await helper('start', kind, module, memory);
        void helper('help');
      }
      return start;
    },
    [script, wasm, kind, helpers],
  );
}

/** The tensors of a safetensors file, all of them 32-bit floats. */
export function tensors(bytes) {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8'));
  const found = new Map();
  for (const [name, { dtype, data_offsets: range }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    if (dtype !== 'F32') throw new Error(`${name} is ${dtype}`);
    const data = bytes.subarray(8 + length + range[0], 8 + length + range[1]);
    found.set(name, new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length)));
  }
  return found;
}
