import { describe, expect, test } from 'vitest';
import { type ProjectRecord, isTemplate, parseRecord, recordOf } from '../../../../www/app/record.ts';
import { LowshotError } from '../../../../www/engine/error.ts';
import { seeded } from '../support/bytes.ts';
import { damaged } from '../support/damage.ts';
import { RECORD, TRAINING, isWellFormed, sample } from '../support/records.ts';

const parsed = (change: object): ProjectRecord => parseRecord(JSON.stringify({ ...RECORD, ...change }), 'my.zip');
const [cats, dogs] = RECORD.classes as [ProjectRecord['classes'][0], ProjectRecord['classes'][0]];

/** What the project is refused for. */
function refusal(change: object | string): string {
  const json = typeof change === 'string' ? change : JSON.stringify({ ...RECORD, ...change });
  try {
    parseRecord(json, 'my.zip');
  } catch (error) {
    expect(error).toBeInstanceOf(LowshotError);
    expect((error as LowshotError).kind).toBe('data');
    return (error as LowshotError).message;
  }
  return 'nothing';
}

describe('a project', () => {
  test('is read as it was written', () => {
    expect(parseRecord(JSON.stringify(RECORD), 'my.zip')).toEqual(RECORD);
    expect(isWellFormed(RECORD)).toBe(true);
  });

  test('is made of what the page shows, without what is only shown', () => {
    const { schema: _, model, sample: from, training, ...project } = RECORD;
    const rest = { model, ...(from ? { sample: from } : {}), ...(training ? { training } : {}) };
    expect(recordOf({ ...project, undo: 'deleting a photo' }, rest)).toEqual(RECORD);
  });

  test('gets what it leaves out', () => {
    const { id, name, schema } = RECORD;
    const before = Date.now();
    const record = parseRecord(JSON.stringify({ schema, id, name, classes: [{ id: 'a', name: 'x', samples: [] }, { id: 'b', name: 'y', samples: [] }] }), 'my.zip');
    expect(record).toMatchObject({ templates: [], model: 'demo' });
    expect(record.classes.map(({ colour, enabled }) => ({ colour, enabled }))).toEqual([{ colour: 0, enabled: true }, { colour: 1, enabled: true }]);
    expect(record.savedAt).toBeGreaterThanOrEqual(before);
    expect('training' in record || 'sample' in record).toBe(false);
  });

  test('has photos whose features are unknown yet, whatever it says', () => {
    const [first] = parsed({ classes: [{ ...cats, samples: [{ ...sample('a'), state: 'ready', problem: 'x' }] }] }).classes;
    expect(first?.samples).toEqual([sample('a')]);
  });

  test.each([[-3, 3], [12, 0], [25, 1], [1.5, 0], ['red', 0], [null, 0]])('with the colour %j gets the colour %i', (colour, expected) => {
    expect(parsed({ classes: [{ ...cats, colour }] }).classes[0]?.colour).toBe(expected);
  });
});

describe('a damaged project is refused by a line that names the place', () => {
  test.each<[string, object | string, string]>([
    ['no JSON', '{"schema": 1', 'my.zip: it is damaged (its project.json is no JSON)'],
    ['nothing', '', 'my.zip: it is damaged (its project.json is no JSON)'],
    ['null', 'null', 'my.zip: it is no lowshot project'],
    ['a number', '7', 'my.zip: it is no lowshot project'],
    ['a list', '[]', 'my.zip: it is no lowshot project'],
    ['JSON of something else', '{"name": "package"}', 'my.zip: it is no lowshot project'],
    ['another version', { schema: 2 }, 'my.zip: it was made by another version: reload the page to get the newest'],
    ['a version that is no number', { schema: { toString: null } }, 'my.zip: it was made by another version: reload the page to get the newest'],
    ['no name', { name: 5 }, 'my.zip: its project.json has no name'],
    ['no id', { id: null }, 'my.zip: its project.json has no name'],
    ['templates that are no list', { templates: 'a {}' }, 'my.zip: its templates are damaged'],
    ['a template without {}', { templates: ['{}', 'a cat'] }, 'my.zip: its templates are damaged'],
    ['a template that is no text', { templates: [null] }, 'my.zip: its templates are damaged'],
    ['no classes', { classes: undefined }, 'my.zip: its classes are damaged'],
    ['too many classes', { classes: Array.from({ length: 1001 }, (_, at) => ({ ...cats, id: `c${at}`, samples: [] })) }, 'my.zip: its classes are damaged'],
    ['a class that is nothing', { classes: [cats, null] }, 'my.zip: class 2 is damaged'],
    ['a class without a name', { classes: [{ ...cats, name: null }] }, 'my.zip: class 1 is damaged'],
    ['a class without photos', { classes: [{ ...cats, samples: {} }] }, 'my.zip: class 1 is damaged'],
    ['a class twice', { classes: [cats, { ...cats, samples: [] }] }, 'my.zip: class 2 is damaged'],
    ['a photo that is nothing', { classes: [{ ...cats, samples: [null] }] }, 'my.zip: photo 1 of class 1 is damaged'],
    ['a photo without a name', { classes: [{ ...cats, samples: [{ id: 'a', name: {} }] }] }, 'my.zip: photo 1 of class 1 is damaged'],
    ['a photo twice in a class', { classes: [cats, { ...dogs, samples: [sample('a'), sample('a')] }] }, 'my.zip: photo 2 of class 2 is damaged'],
    ['a photo in two classes', { classes: [cats, { ...dogs, samples: [sample('cat2')] }] }, 'my.zip: photo 1 of class 2 is damaged'],
    ['a photo with the id of a class', { classes: [{ ...cats, samples: [sample('cats')] }] }, 'my.zip: photo 1 of class 1 is damaged'],
  ])('%s', (_, change, message) => expect(refusal(change)).toBe(message));

  test.each(['', '../cat', 'a/b', 'a\nb', 'A', '__proto__', 'é', 'a b', 'a\u0000'])('an id that is %j', (id) => {
    expect(refusal({ classes: [{ ...cats, samples: [sample(id)] }] })).toBe('my.zip: photo 1 of class 1 is damaged');
    expect(refusal({ classes: [{ ...cats, id }] })).toBe('my.zip: class 1 is damaged');
  });
});

describe('a training', () => {
  const [, tip] = TRAINING.ladder as [object, { result: { predictions: object[] } }];
  const withResult = (change: object): object => ({ ladder: [{ ...tip, result: { ...tip.result, ...change } }] });

  test.each<[string, object]>([
    ['status', { status: 'exploded' }],
    ['classes', { classes: [1] }],
    ['photos', { samples: { 0: 'cat1' } }],
    ['names', { names: null }],
    ['model', { modelSha256: 7 }],
    ['kind of features', { numerics: 'int4 weights' }],
    ['map', { map: 'abc' }],
    ['map’s points', { map: [{ sample: 'cat1', x: 1, y: null }] }],
    ['method in use', { used: 'two words' }],
    ['ladder', { ladder: {} }],
    ['rungs', { ladder: [null] }],
    ['rungs’ method', { ladder: [{ method: 'toString', status: 'done' }] }],
    ['result', { ladder: [{ method: 'tip', status: 'done', result: 'good' }] }],
    ['interval', withResult({ interval: [0.5] })],
    ['table of confusions', withResult({ confusion: [null] })],
    ['predictions', withResult({ predictions: {} })],
    ['predictions’ label', withResult({ predictions: [{ ...tip.result.predictions[0], label: -1 }] })],
    ['confidence', withResult({ predictions: [{ ...tip.result.predictions[0], confidence: 'high' }] })],
  ])('whose %s is damaged is left away, and the project is not', (_, change) => {
    const { training, ...record } = parsed({ training: { ...TRAINING, ...change } });
    expect(training).toBeUndefined();
    expect(record.classes).toEqual(RECORD.classes);
  });

  test.each(['running', 'paused', 'failed'])('that is %s is kept', (status) => {
    const ladder = [{ method: 'meta', status: 'running', progress: { fraction: 0.5, stage: 'check', fold: 1, folds: 3 } }];
    expect(parsed({ training: { ...TRAINING, status, ladder } }).training).toMatchObject({ status, ladder });
  });
});

test('an adapter that was trained elsewhere may be of a method that the ladder has not', () => {
  const training = { ...TRAINING, samples: [], used: 'lora+meta', ladder: [{ method: 'lora+meta', status: 'done' }] };
  expect(parsed({ training }).training).toEqual(training);
});

test('damage at random leads to a project or to one line, and to nothing else', () => {
  const random = seeded(1);
  const json = JSON.stringify(RECORD);
  const outcomes = { refused: 0, read: 0, withoutTraining: 0 };
  for (let round = 0; round < 1000; round++) {
    const broken = damaged(json, random);
    try {
      const record = parseRecord(broken, 'my.zip');
      expect(isWellFormed(record), broken).toBe(true);
      outcomes[record.training ? 'read' : 'withoutTraining']++;
    } catch (error) {
      expect(error, broken).toBeInstanceOf(LowshotError);
      expect((error as LowshotError).message, broken).toMatch(/^my\.zip: .+$/);
      expect((error as LowshotError).kind).toBe('data');
      outcomes.refused++;
    }
  }
  // Otherwise it tests nothing.
  expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(100);
});

test.each([['a photo of a {}.', true], ['{}', true], ['a photo', false], ['{} and {}', false], ['', false], [7, false], [null, false]])('%j is a template: %s', (template, expected) => {
  expect(isTemplate(template)).toBe(expected);
});
