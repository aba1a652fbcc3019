// Lowshot beside transformers.js: the same model, in the same browser, taking turns. See README.md.
//
//   node run.mjs [--lowshot FOLDER] [--rounds N] [--gpu-rounds N] [--cold N] [--seconds S] [--limit S]
//                [--only TEXT] [--out FOLDER] [--chromium FILE]
//
// In every round each contender does each case once, in an order that changes from round to round, so that what else the
// machine does falls on all alike. Tables go to standard output, every sample to OUT/results.json.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { launch } from './browser.mjs';
import { PEERS, lowshots } from './contenders.mjs';
import { coldTable, differences, sizeTable, speedTable } from './report.mjs';
import { serve } from './server.mjs';
import { sizes } from './sizes.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({
  options: {
    lowshot: { type: 'string' },
    rounds: { type: 'string', default: '9' },
    'gpu-rounds': { type: 'string', default: '3' },
    cold: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    limit: { type: 'string', default: '180' },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: join(here, 'out') },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});
const out = resolve(flags.out);
const say = (text) => process.stderr.write(`${text}\n`);

function fail(message) {
  say(message);
  process.exit(1);
}

if (!existsSync(join(out, 'expected.json'))) fail(`${out}/expected.json is not there: run export.py first`);
if (flags.lowshot && !existsSync(join(flags.lowshot, 'lowshot.js'))) fail(`${flags.lowshot} holds no lowshot.js: build the package first`);
const expected = JSON.parse(readFileSync(join(out, 'expected.json'), 'utf8'));
const shared = { model: expected.model, tiles: expected.tiles, labels: expected.labels, scale: expected.scale };

const mounts = { '/': here, '/node_modules/': join(here, 'node_modules'), '/models/': join(out, 'models'), '/tiles/': join(out, 'tiles') };
if (flags.lowshot) mounts['/lowshot/'] = resolve(flags.lowshot);
const contenders = [...(flags.lowshot ? lowshots('/lowshot/') : []), ...PEERS]
  .filter(({ name }) => name.includes(flags.only))
  .map((contender) => ({ ...contender, options: { ...shared, ...contender.options } }));

/// From an empty cache to the first classification, several times in turns; what was fetched is the same each time.
async function cold(browser, server) {
  const results = new Map();
  const all = Number(flags.cold);
  // Round 0 is not counted: it reads the files into the machine's memory.
  for (let round = 0; round <= all; round++) {
    for (const contender of rotated(contenders, round)) {
      const [first, last] = contender.group === 'webgpu' ? [1, Math.min(Number(flags['gpu-rounds']), all)] : [0, all];
      if (round < first || round > last || results.get(contender.name)?.error) continue;
      server.log.length = 0;
      const result = results.get(contender.name) ?? { times: [] };
      results.set(contender.name, result);
      try {
        const page = await browser.open({ ...contender, options: { ...contender.options, words: true } });
        try {
          const { milliseconds, probabilities } = await page.call('first');
          if (round > 0) result.times.push(milliseconds);
          result.last = milliseconds;
          result.probabilities = probabilities;
        } finally {
          await page.close();
        }
      } catch (error) {
        result.error = String(error.message).split('\n')[0];
      }
      result.log = [...server.log];
      say(`cold ${round} of ${last}: ${contender.name}: ${result.error ?? `${result.last.toFixed(0)} ms`}`);
    }
  }
  return results;
}

const rotated = (list, turn) => list.map((_, index) => list[(index + turn) % list.length]);

/// Opens each contender, takes its features, and finds how many passes fill a turn of `--seconds`.
async function open(browser, list) {
  const players = [];
  for (const contender of list) {
    const player = { ...contender, passes: {}, samples: {} };
    try {
      player.page = await browser.open(contender);
      player.about = await player.page.call('about');
      player.features = await player.page.call('features');
      for (const kind of contender.kinds) {
        for (const batch of [1, 8]) {
          let passes = 1;
          for (;;) {
            const seconds = (passes * batch) / (await player.page.call('turn', { kind, batch, passes }));
            if (seconds >= Number(flags.seconds) / 2) {
              passes = Math.max(1, Math.round((passes * Number(flags.seconds)) / seconds));
              break;
            }
            passes *= 2;
          }
          player.passes[`${kind} ${batch}`] = passes;
          player.samples[`${kind} ${batch}`] = [];
        }
      }
      say(`ready: ${contender.name} ${JSON.stringify(player.about)}`);
    } catch (error) {
      player.error = String(error.message).split('\n')[0];
      say(`left out: ${contender.name}: ${player.error}`);
      await player.page?.close();
    }
    players.push(player);
  }
  return players;
}

async function race(browser, players, rounds) {
  const cases = ['files', 'processed', 'tower'].flatMap((kind) => [1, 8].map((batch) => ({ kind, batch })));
  for (let round = 0; round < rounds; round++) {
    for (const { kind, batch } of cases) {
      for (const player of rotated(players, round)) {
        const key = `${kind} ${batch}`;
        if (player.error || !player.passes[key]) continue;
        try {
          const passes = player.passes[key];
          const before = await browser.processorSeconds();
          const speed = await player.page.call('turn', { kind, batch, passes });
          const processor = ((await browser.processorSeconds()) - before) / (passes * batch);
          player.samples[key].push({ speed, processor: processor * 1e3 });
        } catch (error) {
          player.error = String(error.message).split('\n')[0];
          say(`stopped: ${player.name}: ${player.error}`);
          await player.page.close();
        }
      }
    }
    say(`round ${round + 1} of ${rounds}, load ${loadavg()[0].toFixed(1)}`);
  }
}

const server = await serve(mounts);
const browser = await launch(flags.chromium, server.url, Number(flags.limit));
const before = loadavg()[0];
const colds = await cold(browser, server);
const players = [];
for (const [group, rounds] of [['cpu', flags.rounds], ['webgpu', flags['gpu-rounds']]]) {
  const list = await open(browser, contenders.filter((contender) => contender.group === group));
  if (list.length) await race(browser, list, Number(rounds));
  for (const player of list) if (!player.error) await player.page.close();
  players.push(...list);
}
await browser.close();
server.close();

say('counting sizes …');
// What did not get to a classification fetched only a part.
const finished = contenders.filter(({ name }) => colds.get(name)?.times.length);
const fetched = finished.map(({ name }) => ({ name, files: sizes(colds.get(name).log, join(out, 'brotli.json')) }));
const machine = { browser: browser.version, cores: cpus().length, processor: cpus()[0].model, load: { before, after: loadavg()[0] } };

console.log(`Chromium ${machine.browser}, ${machine.cores} cores (${machine.processor}), load ${before.toFixed(1)} before, ${machine.load.after.toFixed(1)} after`);
console.log(coldTable(contenders, colds, expected));
console.log(sizeTable(fetched));
console.log(differences(players, expected));
console.log(speedTable(players));
console.log(`requests elsewhere: ${[...browser.elsewhere].join(' ') || 'none'}`);
for (const [name, notes] of browser.problems) {
  console.log(`${name} said ${notes.length} warnings or errors: ${[...new Set(notes)].slice(0, 3).join(' | ').slice(0, 400)}`);
}
const results = {
  machine,
  cold: Object.fromEntries([...colds].map(([name, { times, error, probabilities }]) => [name, { times, error, probabilities }])),
  fetched,
  speeds: players.map(({ name, about, error, samples }) => ({ name, about, error, samples })),
};
writeFileSync(join(out, 'results.json'), JSON.stringify(results, null, 1));
console.log(`${join(out, 'results.json')} holds every sample`);
