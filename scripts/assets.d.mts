import type { Plugin } from 'vite';

/** Serves the demo model and the samples with the page, and copies them into dist. */
export function assets(): Plugin;
