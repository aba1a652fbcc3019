// npm test [-- STEP…]: everything that CI runs, or the named steps of it: build, rust, unit, browser.

import { existsSync } from 'node:fs';

import { buildPage } from './build.mjs';
import { Stop, at, main, needCargo, run, runNode, step } from './shared.mjs';

const STEPS = {
  build: () => buildPage(),
  rust: () => run('cargo', ['test', '--release', '--locked', '--features', 'page']),
  unit: () => runNode('vitest/vitest.mjs', ['run']),
  browser: () => {
    if (existsSync(at('tests', 'web', 'run.mjs'))) run(process.execPath, [at('tests', 'web', 'run.mjs')]);
    else console.log('skipped: tests/web/run.mjs does not exist');
  },
};

await main(async () => {
  needCargo();
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => !(name in STEPS));
  if (unknown) throw new Stop(`there is no step '${unknown}'; there are ${Object.keys(STEPS).join(', ')}`);
  const times = [];
  for (const name of asked.length ? asked : Object.keys(STEPS)) {
    times.push(`${name} ${(await step(name, STEPS[name])).toFixed(0)} s`);
  }
  console.log(`\nall passed: ${times.join(', ')}`);
});
