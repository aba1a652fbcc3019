// The peer's side on the page: transformers.js in a module Worker, as its documentation advises.

export async function open(options) {
  const worker = new Worker(new URL('./peer-worker.js', import.meta.url), { type: 'module' });
  const waiting = new Map();
  let next = 0;
  const fail = (message) => {
    for (const { reject } of waiting.values()) reject(new Error(message));
    waiting.clear();
  };
  worker.onerror = (event) => fail(event.message || 'the worker did not start');
  worker.onmessage = ({ data: { id, value, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  };
  const call = (name, ...values) =>
    new Promise((resolve, reject) => {
      waiting.set(++next, { resolve, reject });
      worker.postMessage({ id: next, name, values });
    });

  return {
    about: await call('open', options),
    features: (blobs) => call('features', blobs),
    measure: (kind, batch, passes) => call('measure', kind, batch, passes),
    classify: (blob, labels, scale) => call('classify', blob, labels, scale),
  };
}
