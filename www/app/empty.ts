/** The state before anything is known. */
import { DEFAULT_SETTINGS, IDLE } from './learning.ts';
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
