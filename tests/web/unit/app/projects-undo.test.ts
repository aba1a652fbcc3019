import { beforeEach, describe, expect, test } from 'vitest';
import { type Workbench, workbench } from '../support/workbench.ts';

let bench: Workbench;
let [cats, dogs] = ['', ''];
beforeEach(async () => {
  bench = await workbench();
  cats = bench.projects.addClass('cats');
  dogs = bench.projects.addClass('dogs');
  await bench.add(cats, 'c1', 'c2');
  await bench.add(dogs, 'd1');
});

const before = { cats: ['c1', 'c2'], dogs: ['d1'] };
const undoable = (): string | undefined => bench.container.state.project.undo;
const states = (): string[] => bench.container.state.project.classes.flatMap(({ samples }) => samples.map(({ name, state }) => `${name} ${state}`));

describe('what can be undone', () => {
  test.each<[string, string, () => void, object]>([
    ['deleting a class', 'deleting cats', () => bench.projects.deleteClass(cats), { dogs: ['d1'] }],
    ['deleting a photo', 'deleting a photo', () => bench.projects.deleteSamples([bench.id('c1')]), { cats: ['c2'], dogs: ['d1'] }],
    ['deleting photos', 'deleting 2 photos', () => bench.projects.deleteSamples([bench.id('c1'), bench.id('d1')]), { cats: ['c2'], dogs: [] }],
    ['moving a photo', 'moving a photo', () => bench.projects.moveSamples([bench.id('c1')], dogs), { cats: ['c2'], dogs: ['d1', 'c1'] }],
    ['moving photos', 'moving 2 photos', () => bench.projects.moveSamples([bench.id('c1'), bench.id('c2')], dogs), { cats: [], dogs: ['d1', 'c1', 'c2'] }],
    ['renaming a class', 'renaming a class', () => bench.projects.renameClass(cats, '  kittens '), { kittens: ['c1', 'c2'], dogs: ['d1'] }],
    ['adding a class', 'adding a class', () => void bench.projects.addClass('birds'), { ...before, birds: [] }],
  ])('is %s, and says so', (_, what, change, after) => {
    change();
    expect(bench.shown()).toEqual(after);
    expect(undoable()).toBe(what);
    bench.projects.undo();
    expect(bench.shown()).toEqual(before);
    expect(Object.keys(bench.shown())).toEqual(Object.keys(before));
  });

  test('is switching a class off and on', () => {
    bench.projects.toggleClass(cats);
    expect([undoable(), bench.projects.card(cats)?.enabled]).toEqual(['switching cats off', false]);
    bench.projects.toggleClass(cats);
    expect([undoable(), bench.projects.card(cats)?.enabled]).toEqual(['switching cats on', true]);
    bench.projects.undo();
    expect([undoable(), bench.projects.card(cats)?.enabled]).toEqual(['switching cats off', false]);
    bench.projects.undo();
    expect(bench.projects.card(cats)?.enabled).toBe(true);
  });

  test('are thirty changes, the newest first', () => {
    for (let number = 1; number <= 35; number++) bench.projects.renameClass(cats, `cats ${number}`);
    for (let number = 34; number >= 5; number--) {
      bench.projects.undo();
      expect(bench.projects.card(cats)?.name).toBe(`cats ${number}`);
    }
    expect(undoable()).toBeUndefined();
    bench.projects.undo();
    expect(bench.projects.card(cats)?.name).toBe('cats 5');
  });

  test('is nothing of a project that was open before', async () => {
    bench.projects.deleteClass(cats);
    await bench.projects.show(bench.projects.empty('Another'));
    expect(undoable()).toBeUndefined();
    bench.projects.undo();
    expect(bench.shown()).toEqual({});
  });
});

describe('what was undone', () => {
  const redoable = (): string | undefined => bench.container.state.project.redo;

  test('can be done again, step by step, and undone again', () => {
    bench.projects.renameClass(cats, 'kittens');
    bench.projects.deleteSamples([bench.id('d1')]);
    expect(redoable()).toBeUndefined();
    bench.projects.undo();
    expect(redoable()).toBe('deleting a photo');
    bench.projects.undo();
    expect(bench.shown()).toEqual(before);
    expect([undoable(), redoable()]).toEqual([undefined, 'renaming a class']);
    bench.projects.redo();
    expect(bench.shown()).toEqual({ kittens: ['c1', 'c2'], dogs: ['d1'] });
    bench.projects.redo();
    expect(bench.shown()).toEqual({ kittens: ['c1', 'c2'], dogs: [] });
    expect([undoable(), redoable()]).toEqual(['deleting a photo', undefined]);
    bench.projects.undo();
    bench.projects.undo();
    expect(bench.shown()).toEqual(before);
  });

  test.each<[string, () => unknown]>([
    ['something else is done', () => bench.projects.renameClass(dogs, 'hounds')],
    ['photos are added', () => bench.add(dogs, 'new')],
    ['another project is opened', () => bench.projects.show(bench.projects.empty('Another'))],
  ])('is past once %s', async (_, change) => {
    bench.projects.deleteClass(cats);
    bench.projects.undo();
    await change();
    expect(redoable()).toBeUndefined();
    const after = bench.shown();
    bench.projects.redo();
    expect(bench.shown()).toEqual(after);
  });

  test('comes back with its photos as far as they have come', () => {
    const first = bench.id('c1');
    bench.projects.moveSamples([first], dogs);
    bench.projects.undo();
    bench.projects.markSamples([first], { state: 'failed', problem: 'it cannot be opened' });
    bench.projects.redo();
    expect(states()).toEqual(['c2 ready', 'd1 ready', 'c1 failed']);
  });
});

describe('photos that were added since', () => {
  test.each<[string, () => void, object]>([
    ['deleting a photo of their class', () => bench.projects.deleteSamples([bench.id('c1')]), { cats: ['c1', 'c2', 'new'], dogs: ['d1'] }],
    ['moving a photo into their class', () => bench.projects.moveSamples([bench.id('d1')], cats), { cats: ['c1', 'c2', 'new'], dogs: ['d1'] }],
    ['moving all photos out of their class', () => bench.projects.moveSamples([bench.id('c1'), bench.id('c2')], dogs), { cats: ['c1', 'c2', 'new'], dogs: ['d1'] }],
    ['renaming their class', () => bench.projects.renameClass(cats, 'kittens'), { cats: ['c1', 'c2', 'new'], dogs: ['d1'] }],
    ['deleting another class', () => bench.projects.deleteClass(dogs), { cats: ['c1', 'c2', 'new'], dogs: ['d1'] }],
  ])('stay when %s is undone', async (_, change, after) => {
    change();
    await bench.add(cats, 'new');
    bench.projects.undo();
    expect(bench.shown()).toEqual(after);
  });

  test('to a new class keep that class, when something before it is undone', async () => {
    bench.projects.deleteSamples([bench.id('c1')]);
    const birds = bench.projects.addClass('birds');
    expect(undoable()).toBe('adding a class');
    await bench.add(birds, 'b1');
    // That the class was added cannot be undone without losing its photo.
    expect(undoable()).toBe('deleting a photo');
    bench.projects.undo();
    expect(bench.shown()).toEqual({ ...before, birds: ['b1'] });
    expect(undoable()).toBeUndefined();
  });

  test('stay through several steps', async () => {
    bench.projects.deleteSamples([bench.id('c1')]);
    await bench.add(cats, 'new');
    bench.projects.renameClass(cats, 'kittens');
    await bench.add(cats, 'newer');
    bench.projects.deleteSamples([bench.id('new')]);
    expect(bench.shown()).toEqual({ kittens: ['c2', 'newer'], dogs: ['d1'] });
    bench.projects.undo();
    expect(bench.shown()).toEqual({ kittens: ['c2', 'new', 'newer'], dogs: ['d1'] });
    bench.projects.undo();
    bench.projects.undo();
    expect(bench.shown()).toEqual({ cats: ['c1', 'c2', 'new', 'newer'], dogs: ['d1'] });
  });

  test('are as far as they have come when something is undone', async () => {
    bench.projects.renameClass(dogs, 'hounds');
    const adding = bench.add(cats, 'new');
    bench.projects.renameClass(dogs, 'puppies');
    await adding;
    expect(states()).toEqual(['c1 ready', 'c2 ready', 'new ready', 'd1 ready']);
    bench.projects.undo();
    bench.projects.undo();
    expect(states()).toEqual(['c1 ready', 'c2 ready', 'new ready', 'd1 ready']);
  });

  test('are as far as they have come though their class was away meanwhile', () => {
    bench.projects.markSamples([bench.id('c1')], { state: 'waiting' });
    const first = bench.id('c1');
    bench.projects.deleteClass(cats);
    bench.projects.markSamples([first], { state: 'failed', problem: 'it cannot be opened' });
    bench.projects.undo();
    expect(states()[0]).toBe('c1 failed');
  });
});

test('photos of a class that is gone are not added anywhere', async () => {
  bench.projects.deleteClass(cats);
  await bench.add(cats, 'late');
  expect(bench.shown()).toEqual({ dogs: ['d1'] });
});

test('photos do not vanish by being moved to a class that is gone', () => {
  bench.projects.deleteClass(cats);
  bench.projects.moveSamples([bench.id('d1')], cats);
  expect(bench.shown()).toEqual({ dogs: ['d1'] });
});
