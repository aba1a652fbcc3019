/** The state before anything is known. */
import { DEFAULT_SETTINGS } from './settings.ts';
import type { State, Training } from './state.ts';

/** Nothing is learnt. */
export const IDLE: Training = { status: 'idle', classes: [], ladder: [], curve: null, stale: false };

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
