// Who takes part. A contender's `options` go to page.js; `group` are those that take turns and are compared.

const peer = (name, options, more = {}) => ({
  name: `peer ${name}`,
  group: options.device === 'webgpu' ? 'webgpu' : 'cpu',
  kinds: ['files', 'processed', 'tower'],
  options: { side: 'peer', dtype: 'fp32', threads: 1, build: '.asyncify', ...options },
  ...more,
});

// `.asyncify` is the build of ONNX Runtime that transformers.js takes by default (26.9 MB, with WebGPU inside); the one without
// a suffix is half of that, for the CPU only. `threads: 0` leaves the number to ONNX Runtime.
export const PEERS = [
  peer('wasm fp32, 1 thread', { device: 'wasm' }),
  peer('wasm fp32, 1 thread, small build', { device: 'wasm', build: '' }),
  peer('wasm fp32, default threads', { device: 'wasm', threads: 0 }),
  peer('wasm fp32, 2 threads', { device: 'wasm', threads: 2 }),
  peer('wasm fp16, 1 thread', { device: 'wasm', dtype: 'fp16' }),
  peer('wasm q8, 1 thread', { device: 'wasm', dtype: 'q8' }),
  peer('webgpu fp32', { device: 'webgpu' }),
];

const lowshot = (name, options) => ({
  name: `lowshot ${name}`,
  group: options.device,
  kinds: ['files', 'tower'],
  options: { side: 'lowshot', ...options },
});

export const lowshots = (base) => [
  lowshot('cpu', { device: 'cpu', base }),
  lowshot('cpu int8', { device: 'cpu', weights: 'int8', base }),
  lowshot('webgpu', { device: 'webgpu', base }),
];
