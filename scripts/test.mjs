// npm test [-- STEP…] [-- --gpu]: every test but a GPU's, or the named steps: build, rust, unit, browser. With --gpu the program
// computes on GPUs by wgpu too, and that is tested: on a GPU in software, where that is all there is.

import { existsSync } from 'node:fs';

import { buildPage } from './build.mjs';
import { Stop, at, main, needCargo, run, runNode, step } from './shared.mjs';

const gpu = process.argv.includes('--gpu');

const STEPS = {
  build: () => buildPage(),
  rust: () => run('cargo', ['test', '--release', '--locked', '--features', gpu ? 'page,wgpu' : 'page']),
  unit: () => runNode('vitest/vitest.mjs', ['run']),
  browser: () => {
    if (existsSync(at('tests', 'web', 'run.mjs'))) run(process.execPath, [at('tests', 'web', 'run.mjs')]);
    else console.log('skipped: tests/web/run.mjs does not exist');
  },
};

await main(async () => {
  needCargo();
  const asked = process.argv.slice(2).filter((argument) => argument !== '--gpu');
  const unknown = asked.find((name) => !(name in STEPS));
  if (unknown) throw new Stop(`there is no step '${unknown}'; there are ${Object.keys(STEPS).join(', ')}`);
  const times = [];
  for (const name of asked.length ? asked : Object.keys(STEPS)) {
    times.push(`${name} ${(await step(name, STEPS[name])).toFixed(0)} s`);
  }
  console.log(`\nall passed: ${times.join(', ')}`);
});
