import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ProjectRecord } from '../../../../www/app/record.ts';
import { LowshotError } from '../../../../www/engine/error.ts';
import { RECORD } from '../support/records.ts';
import { type Workbench, workbench } from '../support/workbench.ts';

let bench: Workbench;
beforeEach(async () => (bench = await workbench()));
afterEach(() => vi.useRealTimers());

const stored = async (): Promise<ProjectRecord> => JSON.parse((await bench.store.get('projects', bench.projects.projectId))?.json ?? 'null') as ProjectRecord;
const names = (): string[] => bench.container.state.project.classes.map(({ name }) => name);

describe('storing', () => {
  test('writes once for many changes, a moment after the last', async () => {
    vi.useFakeTimers();
    const before = bench.writes();
    for (let number = 0; number < 20; number++) {
      bench.projects.addClass();
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(bench.writes()).toBe(before);
    await vi.advanceTimersByTimeAsync(1000);
    expect(bench.writes()).toBe(before + 1);
    expect((await stored()).classes).toHaveLength(20);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(bench.writes()).toBe(before + 1);
  });

  test('is done at once when it is asked for, and not again', async () => {
    vi.useFakeTimers();
    const before = bench.writes();
    bench.projects.addClass('cats');
    await bench.projects.flush();
    expect((await stored()).classes[0]?.name).toBe('cats');
    await vi.advanceTimersByTimeAsync(1000);
    expect(bench.writes()).toBe(before + 1);
  });

  test.each<[string, (id: string) => void]>([
    ['renaming it', () => bench.projects.rename('Mine')],
    ['changing its templates', () => bench.projects.changeTemplates(['{}'])],
    ['renaming a class', (id) => bench.projects.renameClass(id, 'x')],
    ['switching a class off', (id) => bench.projects.toggleClass(id)],
    ['undoing', () => bench.projects.undo()],
  ])('follows %s', async (_, change) => {
    const id = bench.projects.addClass();
    await bench.projects.flush();
    const before = await stored();
    vi.useFakeTimers();
    change(id);
    await vi.advanceTimersByTimeAsync(500);
    const { savedAt: __, ...after } = await stored();
    expect(after).not.toEqual({ ...before, savedAt: undefined });
    expect(JSON.stringify(after)).not.toBe(JSON.stringify({ ...before, savedAt: undefined }));
  });

  test('of one project is finished before another is shown', async () => {
    bench.projects.rename('First');
    const first = bench.projects.projectId;
    await bench.projects.show(bench.projects.empty('Second'));
    expect(JSON.parse((await bench.store.get('projects', first))?.json ?? '{}')).toMatchObject({ id: first, name: 'First' });
    await bench.projects.flush();
    expect(await stored()).toMatchObject({ name: 'Second' });
  });

  test('that fails is told in words, and the next one is tried', async () => {
    const put = vi.spyOn(bench.store, 'put').mockRejectedValueOnce(new LowshotError('storage', 'there is no more room'));
    bench.projects.addClass('cats');
    await bench.projects.flush();
    expect(bench.told()).toEqual(['The project could not be stored: there is no more room. Save it as a file to be safe.']);
    put.mockRestore();
    await bench.projects.flush();
    expect((await stored()).classes).toHaveLength(1);
  });

  test('keeps what training leaves and what it was a sample of', async () => {
    bench = await workbench(RECORD);
    bench.projects.training = () => RECORD.training;
    await bench.projects.flush();
    expect(await stored()).toEqual({ ...RECORD, model: 'demo', savedAt: expect.any(Number) });
    expect(await bench.projects.read(RECORD.id)).toMatchObject({ sample: 'photos', training: RECORD.training });
  });
});

describe('the list of projects', () => {
  test('has the newest first, the damaged last with what is wrong, and the newest that is sound is opened again', async () => {
    const row = (id: string, savedAt: number) => ({ id, savedAt, json: JSON.stringify({ ...bench.projects.empty(id), id, savedAt }) });
    await bench.store.put('projects', [row('old', 1000), row('newest', 3000), row('middle', 2000), { id: 'damaged', savedAt: 9000, json: '{"schema": 1' }]);
    expect((await bench.projects.last())?.name).toBe('newest');
    expect(bench.container.state.projects.map(({ name }) => name)).toEqual(['newest', 'middle', 'old', '']);
    expect(bench.container.state.projects.at(-1)?.problem).toMatch(/damaged/);
    expect(bench.told()).toEqual([expect.stringMatching(/^A stored project cannot be opened: .* It is left as it is\.$/)]);
    await expect(bench.projects.read('damaged')).rejects.toMatchObject({ kind: 'data', message: expect.stringContaining('the stored project: ') });
  });

  test('counts classes and photos', async () => {
    const cats = bench.projects.addClass();
    bench.projects.addClass();
    await bench.add(cats, 'c1', 'c2', 'c3');
    await bench.projects.flush();
    expect(bench.container.state.projects[0]).toMatchObject({ name: 'Test', classes: 2, samples: 3 });
  });
});

describe('classes', () => {
  test('that are added without a name get one that no other has', () => {
    bench.projects.addClass('Class 2');
    bench.projects.addClass();
    bench.projects.addClass('  ');
    const id = bench.projects.addClass();
    bench.projects.deleteClass(bench.container.state.project.classes[1]?.id ?? '');
    bench.projects.renameClass(id, 'Class 5');
    bench.projects.addClass();
    bench.projects.addClass();
    expect(new Set(names()).size).toBe(names().length);
    expect(names()[0]).toBe('Class 2');
    expect(names().every((name) => /^Class \d+$/.test(name))).toBe(true);
  });

  test('get a colour that no other has, as long as there is one', () => {
    for (let number = 0; number < 12; number++) bench.projects.addClass();
    const colours = (): number[] => bench.container.state.project.classes.map(({ colour }) => colour);
    expect(new Set(colours()).size).toBe(12);
    const fifth = bench.container.state.project.classes[5];
    bench.projects.deleteClass(fifth?.id ?? '');
    bench.projects.addClass();
    expect(colours().at(-1)).toBe(fifth?.colour);
    bench.projects.addClass();
    expect(colours().at(-1)).toBeLessThan(12);
  });

  test('keep their name where the new one is empty', () => {
    const id = bench.projects.addClass('cats');
    bench.projects.renameClass(id, '   ');
    expect(names()).toEqual(['cats']);
    expect(bench.container.state.project.undo).toBe('adding a class');
  });
});

describe('templates', () => {
  test('are taken where each has {} once', () => {
    bench.projects.changeTemplates(['a photo of {}.', '{}']);
    expect(bench.container.state.project.templates).toEqual(['a photo of {}.', '{}']);
    expect(bench.told()).toEqual([]);
  });

  test.each([['a photo'], ['{} and {}'], [''], ['{ }']])('such as %j are refused, and the ones before stay', (wrong) => {
    bench.projects.changeTemplates(['{}']);
    bench.projects.changeTemplates(['a {}', wrong]);
    expect(bench.container.state.project.templates).toEqual(['{}']);
    expect(bench.told()).toEqual([`“${wrong}” needs {} once, where the class’s name goes.`]);
  });
});

test('who listens is told of changes, and not of progress', async () => {
  const cats = bench.projects.addClass('cats');
  await bench.add(cats, 'c1');
  let changes = 0;
  bench.projects.onChange = () => changes++;
  bench.projects.markSamples([bench.id('c1')], { state: 'waiting' });
  expect(changes).toBe(0);
  bench.projects.deleteSamples([bench.id('c1')]);
  bench.projects.undo();
  bench.projects.changeTemplates(['{}']);
  expect(changes).toBe(3);
});
