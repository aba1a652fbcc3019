import { describe, expect, test } from 'vitest';

import { kindOf } from '../../../../www/views/drop.ts';
import { bytes, duration, percent, plural } from '../../../../www/views/format.ts';

const plain = (text: string) => text.replaceAll('\u202f', ' ');

describe('figures as they are shown', () => {
  test('a fraction below one is never rounded to all', () => {
    expect([0, 0.004, 0.775, 0.996, 1].map(percent).map(plain)).toEqual(['0 %', '0 %', '78 %', '> 99 %', '100 %']);
  });

  test('bytes in thousands, as downloads are counted', () => {
    expect([0, 999, 1000, 93_600_000, 605_157_884, 11e9].map(bytes).map(plain)).toEqual(['0 B', '999 B', '1.0 kB', '94 MB', '605 MB', '11 GB']);
  });

  test('times from milliseconds to hours', () => {
    expect([0.018, 0.3, 42, 260, 7200].map(duration).map(plain)).toEqual(['18 ms', '0.3 s', '42 s', '4 min', '2.0 h']);
  });

  test('one, and several', () => {
    expect([plural(1, 'photo'), plural(2000, 'photo'), plural(2, 'class', 'classes')]).toEqual(['1 photo', '2,000 photos', '2 classes']);
  });
});

describe('what dropped files are', () => {
  const file = (name: string, size = 10) => Object.defineProperty(new File([], name), 'size', { value: size });

  test('by their names, and a model by its size', () => {
    expect(kindOf([file('cups.lowshot')])).toBe('project');
    expect(kindOf([file('adapter.safetensors', 2e6)])).toBe('adapter');
    expect(kindOf([file('model.safetensors', 600e6)])).toBe('model');
    expect(kindOf([file('config.json'), file('model.safetensors', 40e6)])).toBe('model');
    expect(kindOf([file('a.jpg'), file('b.png')])).toBe('photos');
  });
});
