/** The state before anything is known. */
import { IDLE } from './learning.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import type { State } from './state.ts';

export const EMPTY: State = {
  project: { id: '', name: '', classes: [], templates: [], savedAt: 0 },
  projects: [],
  models: [],
  model: { status: 'none', name: '' },
  training: IDLE,
  settings: DEFAULT_SETTINGS,
  storage: { mode: 'persistent', usedBytes: 0, quotaBytes: 0 },
  notices: [],
  examples: [],
  credits: [],
  offline: false,
};
