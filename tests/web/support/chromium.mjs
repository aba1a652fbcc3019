// The browser that the tests drive.

import { existsSync } from 'node:fs';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

/** Its path, or undefined where there is none. */
export function findChromium() {
  return [process.env.CHROMIUM, ...PLACES].find((place) => place && existsSync(place));
}

export function chromiumPath() {
  const found = findChromium();
  if (!found) throw new Error('there is no Chromium: install it (Debian: apt-get install chromium) or say where it is in CHROMIUM');
  return found;
}
