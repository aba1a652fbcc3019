/** Whether a stored training is one, in all that the page reads of it: it may come from elsewhere, and can be done again. */
import { NUMERICS } from '../engine/numerics.ts';
import type { TrainingRecord } from './record.ts';

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === 'string';
const number: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const index: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const flag: Check = (value) => typeof value === 'boolean';
const oneOf = (...values: readonly unknown[]): Check => (value) => values.includes(value);
const maybe = (check: Check): Check => (value) => value === undefined || check(value);
const list = (check: Check): Check => (value) => Array.isArray(value) && value.every(check);
const shape = (fields: Readonly<Record<string, Check>>): Check => (value) =>
  typeof value === 'object' && value !== null && Object.entries(fields).every(([name, check]) => check((value as Record<string, unknown>)[name]));

/** As the core writes them; an adapter that was trained elsewhere may be of one that the ladder has not. */
const method: Check = (value) => typeof value === 'string' && /^[a-z0-9+-]+$/.test(value);

const result = shape({
  method,
  correct: number,
  n: number,
  accuracy: number,
  interval: (value) => list(number)(value) && (value as unknown[]).length === 2,
  folds: number,
  leaveOneOut: flag,
  perClass: list(shape({ n: number, accuracy: (value) => value === null || number(value) })),
  confusion: list(list(number)),
  predictions: list(shape({ sample: text, label: index, predicted: index, confidence: number })),
  seconds: number,
  trainableParameters: number,
});

const rung = shape({
  method,
  status: oneOf('waiting', 'running', 'done', 'skipped', 'failed'),
  problem: maybe(text),
  progress: maybe(shape({ fraction: number, stage: oneOf('check', 'final'), fold: number, folds: number })),
  result: maybe(result),
  expectedSeconds: maybe(number),
});

const training = shape({
  status: oneOf('idle', 'running', 'paused', 'done', 'failed'),
  classes: list(text),
  names: list(text),
  samples: list(text),
  templates: list(text),
  modelSha256: text,
  numerics: maybe(oneOf(...NUMERICS)),
  ladder: list(rung),
  used: maybe(method),
  map: maybe(list(shape({ sample: text, x: number, y: number }))),
  problem: maybe(text),
});

export function isTraining(value: unknown): value is TrainingRecord {
  return training(value);
}
