// Tables in Markdown.

const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const median = (numbers) => {
  const list = sorted(numbers);
  const middle = list.length >> 1;
  return list.length % 2 ? list[middle] : (list[middle - 1] + list[middle]) / 2;
};
const table = (title, head, rows) =>
  [`\n${title}\n`, `| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');

const spread = (numbers, digits = 0) => {
  const list = sorted(numbers).map((number) => number.toFixed(digits));
  return `${median(numbers).toFixed(digits)} (${list[0]} … ${list.at(-1)})`;
};

/** What a contender is compared with: lowshot, with weights of 8 bits where it has them. */
const eightBits = (name) => /q8|int8/.test(name);
const counterpart = (ours, name) => ours.name.startsWith('lowshot') && eightBits(ours.name) === eightBits(name);

const largest = (a, b) => Math.max(...a.map((value, index) => Math.abs(value - b[index])));
const unit = (vector) => {
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
};

function expectedProbabilities({ images, texts, scale }) {
  const image = unit(images[0]);
  const scores = texts.map((text) => scale * unit(text).reduce((sum, value, index) => sum + value * image[index], 0));
  const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

export function coldTable(contenders, colds, expected) {
  const right = expectedProbabilities(expected);
  const rows = contenders.map(({ name, group }) => {
    const { times = [], error, probabilities } = colds.get(name) ?? {};
    if (!times.length) return [name, error ?? 'not run', '', ''];
    const ours = contenders.find((other) => counterpart(other, name) && other.group === group);
    const theirs = colds.get(ours?.name)?.times ?? [];
    const ratio = ours && ours.name !== name && theirs.length ? (median(times) / median(theirs)).toFixed(2) : '';
    return [name, spread(times), ratio, largest(probabilities, right).toExponential(0)];
  });
  const title = 'Cold navigation to the first picture classified with 5 text labels, ms: median (best … worst)';
  return table(title, ['', 'ms', 'peer / lowshot', "largest difference of a probability from PyTorch's"], rows);
}

export function sizeTable(fetched) {
  const bytes = (files, field) => (files.reduce((sum, file) => sum + file[field], 0) / 1e6).toFixed(2);
  const rows = fetched.map(({ name, files }) => {
    const cells = ['script', 'wasm', 'model'].map((kind) => {
      const some = files.filter((file) => file.kind === kind);
      return `${bytes(some, 'raw')} / ${bytes(some, 'brotli')}`;
    });
    return [name, ...cells, `${bytes(files, 'raw')} / ${bytes(files, 'brotli')}`];
  });
  return table('Fetched until the first classification, MB: raw / brotli', ['', 'script', 'wasm', 'model and words', 'all'], rows);
}

/// Unit features: whether a side normalises its own is not what is compared.
export function differences(players, expected) {
  const torch = expected.images.map(unit);
  const worst = (some, others) => Math.max(...some.map((feature, index) => largest(feature, others[index]))).toExponential(1);
  const done = players.filter(({ features }) => features).map(({ name, features }) => ({ name, features: features.map((feature) => unit(Array.from(feature))) }));
  const ours = done.filter(({ name }) => name.startsWith('lowshot'));
  const rows = done.map(({ name, features }) => [name, worst(features, torch), ...ours.map((our) => worst(features, our.features))]);
  const head = ['', 'from PyTorch (Pillow decodes)', ...ours.map(({ name }) => `from ${name}`)];
  return table(`Largest difference of unit features of ${expected.tiles.length} tiles, from files`, head, rows);
}

const WHAT = { files: 'files → features', processed: 'decoded → features', tower: 'tower alone' };

export function speedTable(players) {
  const rows = [];
  for (const group of ['cpu', 'webgpu']) {
    const some = players.filter((player) => player.group === group);
    for (const key of ['files 1', 'files 8', 'processed 1', 'processed 8', 'tower 1', 'tower 8']) {
      for (const { name, about, samples } of some) {
        const ours = some.find((other) => counterpart(other, name))?.samples[key] ?? [];
        const mine = samples[key] ?? [];
        const [kind, batch] = key.split(' ');
        const threads = about?.threads ? ` [${about.threads}]` : '';
        if (!mine.length) continue;
        const ratios = ours.length && ours !== mine ? compared(ours, mine) : ['', '', ''];
        rows.push([WHAT[kind], batch, name + threads, spread(mine.map(({ speed }) => speed), 1), spread(mine.map(({ processor }) => processor), 2), ...ratios]);
      }
    }
  }
  for (const { name, error } of players) if (error) rows.push(['did not finish', '', name, error, '', '', '', '']);
  const head = ['', 'batch', 'contender [threads]', 'images/s', 'processor ms an image', 'lowshot / peer, medians', 'bests', 'processor'];
  return table('Images a second: median (lowest … highest). Ratios above 1: lowshot is faster', head, rows);
}

function compared(ours, theirs) {
  const speeds = (samples) => samples.map(({ speed }) => speed);
  const processor = (samples) => median(samples.map((sample) => sample.processor));
  return [
    median(speeds(ours)) / median(speeds(theirs)),
    Math.max(...speeds(ours)) / Math.max(...speeds(theirs)),
    processor(theirs) / processor(ours),
  ].map((ratio) => ratio.toFixed(2));
}
