import { expect, test } from 'vitest';
import { workbench } from '../support/workbench.ts';

/** Of three batches that go through the model one after the other. */
const NAMES = Array.from({ length: 20 }, (_, at) => `photo ${at}`);

test('photos are seen again where a GPU computes in half precision, once in either', async () => {
  const { photos, projects, model, add, id } = await workbench();
  await add(projects.addClass('cat'), 'a', 'b');
  const ids = [id('a'), id('b')];
  expect(await photos.features(ids)).toEqual({ features: Float32Array.of(0, 32, 1, 32), numerics: 'f32' });
  expect(model.seen).toBe(2);
  model.precision = 'f16';
  expect(await photos.features(ids)).toEqual({ features: Float32Array.of(0, 16, 1, 16), numerics: 'f16' });
  model.precision = 'f32';
  expect(await photos.features(ids)).toEqual({ features: Float32Array.of(0, 32, 1, 32), numerics: 'f32' });
  expect(model.seen).toBe(4);
});

test('photos are seen again where weights are rounded, and not where they only lie as f32', async () => {
  const { photos, projects, model, add, id } = await workbench();
  await add(projects.addClass('cat'), 'a', 'b');
  const ids = [id('a'), id('b')];
  model.weights = 'int8';
  expect(await photos.features(ids)).toEqual({ features: Float32Array.of(0, 8, 1, 8), numerics: 'int8 weights' });
  model.weights = 'f16';
  expect(await photos.features(ids)).toEqual({ features: Float32Array.of(0, 17, 1, 17), numerics: 'f16 weights' });
  expect(model.seen).toBe(6);
  model.weights = 'f32';
  expect(await photos.features(ids)).toEqual({ features: Float32Array.of(0, 32, 1, 32), numerics: 'f32' });
  expect(model.seen).toBe(6);
});

test('what is learnt from is of one kind, also where the GPU takes over while photos are seen', async () => {
  const { photos, projects, model, store, add, id } = await workbench();
  await add(projects.addClass('cat'), ...NAMES);
  await store.delete('features', await store.keys('features'));
  let batches = 0;
  model.before = () => {
    if (++batches === 2) model.precision = 'f16';
  };
  const { features } = await photos.features(NAMES.map(id));
  expect(features).toEqual(Float32Array.from(NAMES.flatMap((_, at) => [at, 16])));
});

test('what was added while the GPU took over is known as what it is', async () => {
  const { photos, projects, model, add, id } = await workbench();
  model.before = () => (model.precision = 'f16');
  await add(projects.addClass('cat'), 'a');
  expect(await photos.features([id('a')])).toEqual({ features: Float32Array.of(0, 16), numerics: 'f16' });
  expect(model.seen).toBe(1);
});

test('a training is taken up with the features that it began with, where they are known', async () => {
  const { photos, projects, model, add, id } = await workbench();
  model.precision = 'f16';
  await add(projects.addClass('cat'), 'a');
  model.precision = 'f32';
  expect(await photos.features([id('a')], 'f16')).toEqual({ features: Float32Array.of(0, 16), numerics: 'f16' });
  expect(model.seen).toBe(1);
  await add(projects.addClass('dog'), 'b');
  expect(await photos.features([id('a'), id('b')], 'f16')).toEqual({ features: Float32Array.of(0, 32, 0, 32), numerics: 'f32' });
});
