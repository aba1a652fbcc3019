import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { ProjectRecord } from '../../../../www/app/record.ts';
import type { RungResult } from '../../../../www/app/state.ts';
import { TRAINING } from '../support/records.ts';
import { type Workbench, workbench } from '../support/workbench.ts';

let bench: Workbench;
let [cats, dogs] = ['', ''];
beforeEach(async () => {
  bench = await workbench();
  [cats, dogs] = [bench.projects.addClass('cats'), bench.projects.addClass('dogs')];
  await bench.add(cats, 'c1', 'c2', 'c3');
  await bench.add(dogs, 'd1');
});

/** Opens the project again, as the next visit does, and waits for what goes on in the background. */
async function again(change: Partial<ProjectRecord> = {}): Promise<void> {
  await bench.projects.flush();
  const record = await bench.projects.read(bench.projects.projectId);
  await bench.projects.show({ ...(record as ProjectRecord), ...change });
  await bench.photos.complete([]);
}

/** Ids in a table, without what model or preprocessing they are by. */
const ids = async (table: 'photos' | 'views' | 'features'): Promise<string[]> => (await bench.store.keys(table)).map((key) => key.split('\n')[0] ?? '');

describe('photos that were deleted', () => {
  test('stay as long as that can be undone, and their pixels and features too', async () => {
    const gone = bench.id('c1');
    bench.projects.deleteSamples([gone]);
    await bench.projects.flush();
    expect(await bench.kept()).toEqual(['c1', 'c2', 'c3', 'd1']);
    bench.projects.undo();
    expect(await bench.photos.photo(gone)).toBeDefined();
    expect((await bench.photos.features([gone])).features).toHaveLength(2);
  });

  test('are forgotten when the project is opened the next time, with all that was made of them', async () => {
    const gone = bench.id('c1');
    bench.projects.deleteSamples([gone]);
    await again();
    expect(await bench.kept()).toEqual(['c2', 'c3', 'd1']);
    for (const table of ['photos', 'views', 'features'] as const) {
      expect(await ids(table), table).toHaveLength(3);
      expect(await ids(table), table).not.toContain(gone);
    }
  });

  test('with their class are forgotten as well', async () => {
    bench.projects.deleteClass(cats);
    await again();
    expect(await bench.kept()).toEqual(['d1']);
  });

  test('stay where what was learnt is of them', async () => {
    const samples = ['c1', 'c2', 'c3', 'd1'].map(bench.id);
    bench.projects.deleteSamples([bench.id('c1'), bench.id('c3')]);
    const predictions = samples.map((sample) => ({ sample, label: 0, predicted: 0, confidence: 1 }));
    const result = { ...(TRAINING.ladder[1]?.result as RungResult), predictions };
    await again({ training: { ...TRAINING, samples, ladder: [{ method: 'tip', status: 'done', result }] } });
    expect(await bench.kept()).toEqual(['c1', 'c2', 'c3', 'd1']);
    await again({});
    expect(await bench.kept()).toEqual(['c2', 'd1']);
  });
});

describe('sweeping', () => {
  test('keeps what has been deleted since the project was opened', async () => {
    await bench.projects.flush();
    const record = (await bench.projects.read(bench.projects.projectId)) as ProjectRecord;
    await bench.projects.show(record);
    // The sweep waits for its turn; by then this can still be undone.
    bench.projects.deleteClass(cats);
    await bench.photos.complete([]);
    expect(await bench.kept()).toEqual(['c1', 'c2', 'c3', 'd1']);
    bench.projects.undo();
    expect(bench.shown()).toEqual({ cats: ['c1', 'c2', 'c3'], dogs: ['d1'] });
  });

  test('keeps photos that are just being added', async () => {
    await bench.projects.flush();
    const record = (await bench.projects.read(bench.projects.projectId)) as ProjectRecord;
    await bench.projects.show(record);
    await bench.add(dogs, 'd2', 'd3');
    await bench.photos.complete([]);
    expect(await bench.kept()).toEqual(['c1', 'c2', 'c3', 'd1', 'd2', 'd3']);
  });

  test('never touches another project', async () => {
    bench.projects.deleteSamples([bench.id('c1')]);
    await bench.projects.flush();
    await bench.projects.show(bench.projects.empty('Another'));
    await bench.photos.complete([]);
    expect(await bench.kept()).toEqual(['c1', 'c2', 'c3', 'd1']);
  });

  test('does nothing when another project has been opened before its turn', async () => {
    await bench.projects.flush();
    const record = (await bench.projects.read(bench.projects.projectId)) as ProjectRecord;
    const keys = bench.store.keys.bind(bench.store);
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    bench.store.keys = async (table, group) => (await released, keys(table, group));
    await bench.projects.show(record);
    await bench.projects.show(bench.projects.empty('Another'));
    release();
    await bench.photos.complete([]);
    expect(await bench.kept()).toEqual(['c1', 'c2', 'c3', 'd1']);
  });

  test('that fails disturbs nobody', async () => {
    const keys = vi.spyOn(bench.store, 'keys').mockRejectedValue(new Error('the disk is gone'));
    await bench.projects.show(bench.projects.empty('Another'));
    await bench.add(bench.projects.addClass('birds'), 'b1');
    expect(bench.shown()).toEqual({ birds: ['b1'] });
    keys.mockRestore();
  });
});

test('deleting a project takes all that is its own, and nothing of others', async () => {
  const first = bench.projects.projectId;
  await bench.store.put('learnt', [{ key: `${first}\ntip`, project: first, method: 'tip', adapter: new Uint8Array() }]);
  await bench.projects.flush();
  await bench.projects.show(bench.projects.empty('Another'));
  await bench.add(bench.projects.addClass('birds'), 'b1');
  await bench.projects.flush();
  await bench.projects.delete(first);
  expect(await bench.kept()).toEqual(['b1']);
  expect([await ids('views'), await ids('features')].map(({ length }) => length)).toEqual([1, 1]);
  expect(await bench.store.keys('learnt')).toEqual([]);
  expect(bench.container.state.projects.map(({ name }) => name)).toEqual(['Another']);
});
