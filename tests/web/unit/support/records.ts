/** A project with all that a record can hold: two classes, a training with a result, a map. */
import { type ProjectRecord, type TrainingRecord, parseRecord } from '../../../../www/app/record.ts';
import type { RungResult, Sample } from '../../../../www/app/state.ts';

export const sample = (id: string, name = `${id}.jpg`): Sample => ({ id, name, width: 40, height: 30, state: 'waiting' });

const RESULT: RungResult = {
  method: 'tip',
  correct: 3,
  n: 4,
  accuracy: 0.75,
  interval: [0.3, 0.95],
  folds: 4,
  leaveOneOut: true,
  perClass: [{ n: 2, accuracy: 1 }, { n: 2, accuracy: null }],
  confusion: [[2, 0], [1, 1]],
  predictions: ['cat1', 'cat2', 'dog1', 'dog2'].map((id, at) => ({ sample: id, label: at >> 1, predicted: at === 3 ? 1 : 0, confidence: 0.5 })),
  seconds: 1.5,
  trainableParameters: 20,
};

export const TRAINING: TrainingRecord = {
  status: 'done',
  classes: ['cats', 'dogs'],
  samples: ['cat1', 'cat2', 'dog1', 'dog2'],
  names: ['cat', 'dog'],
  templates: ['a photo of a {}.'],
  modelSha256: 'f00d',
  numerics: 'int8 weights',
  used: 'tip',
  ladder: [{ method: 'zero-shot', status: 'skipped', expectedSeconds: 300 }, { method: 'tip', status: 'done', result: RESULT }],
  map: ['cat1', 'cat2', 'dog1', 'dog2'].map((id, at) => ({ sample: id, x: at, y: 3 - at })),
};

export const RECORD: ProjectRecord = {
  schema: 1,
  id: 'project1',
  name: 'Cats and dogs',
  templates: ['a photo of a {}.', '{} in a picture'],
  classes: [
    { id: 'cats', name: 'cat', colour: 0, enabled: true, samples: [sample('cat1'), sample('cat2')] },
    { id: 'dogs', name: 'dog', colour: 3, enabled: false, samples: [sample('dog1'), sample('dog2')] },
  ],
  savedAt: 1_700_000_000_000,
  model: 'ViT-B/32',
  sample: 'photos',
  training: TRAINING,
};

/** What every record that is read must be, whatever it was read from. */
export function isWellFormed(record: ProjectRecord): boolean {
  const ids = record.classes.flatMap((card) => [card.id, ...card.samples.map(({ id }) => id)]);
  const samples = record.classes.flatMap((card) => card.samples);
  return [
    record.schema === 1,
    [record.id, record.name, record.model].every((value) => typeof value === 'string'),
    Number.isFinite(record.savedAt),
    record.templates.every((template) => template.split('{}').length === 2),
    ids.every((id) => /^[a-z0-9]+$/.test(id)) && new Set(ids).size === ids.length,
    record.classes.every(({ name, colour, enabled }) => typeof name === 'string' && colour >= 0 && colour < 12 && typeof enabled === 'boolean'),
    samples.every(({ name, width, height, state }) => typeof name === 'string' && Number.isFinite(width) && Number.isFinite(height) && state === 'waiting'),
    Object.getPrototypeOf(record) === Object.prototype,
    JSON.stringify(parseRecord(JSON.stringify(record), 'again')) === JSON.stringify(record),
    // Prototypes of others are as they were.
    !('polluted' in {}) && !('polluted' in []),
  ].every(Boolean);
}
