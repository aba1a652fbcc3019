// npm start [-- --port N …]: installs what is missing, builds the page and the program, serves the page on loopback.

import { spawn } from 'node:child_process';

import { buildPage } from './build.mjs';
import { main, needCargo, root } from './shared.mjs';

await main(async () => {
  needCargo();
  await buildPage();
  console.log('\n== program');
  const cargo = ['run', '--release', '--locked', '--features', 'page', '--', 'serve'];
  const program = spawn('cargo', [...cargo, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
  // Ctrl-C reaches the program too; this script ends when it has.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => program.kill('SIGTERM'));
  program.on('exit', (code) => process.exit(code ?? 1));
});
