import { describe, expect, test } from 'vitest';
import { fileName, resultsTable } from '../../../../www/app/export.ts';
import type { HeldOut, RungResult, State } from '../../../../www/app/state.ts';
import { RECORD, TRAINING, sample } from '../support/records.ts';
import { EMPTY } from '../support/workbench.ts';

const RESULT = TRAINING.ladder[1]?.result as RungResult;

/** The table of one method's predictions, for photos and classes of these names. */
async function table(photo: string, [first, second] = ['cat', 'dog'], predictions: readonly HeldOut[] = [{ sample: 'a', label: 0, predicted: 1, confidence: 0.98765 }]): Promise<string> {
  const [cats, dogs] = RECORD.classes as [State['project']['classes'][0], State['project']['classes'][0]];
  const classes = [{ ...cats, name: first ?? '', samples: [sample('a', photo)] }, { ...dogs, name: second ?? '' }];
  const ladder: State['training']['ladder'] = [{ method: 'zero-shot', status: 'skipped' }, { method: 'tip', status: 'done', result: { ...RESULT, predictions } }];
  const state: State = { ...EMPTY, project: { ...EMPTY.project, classes }, training: { ...EMPTY.training, classes: ['cats', 'dogs'], ladder } };
  return resultsTable(state).text();
}

/** Cells of a table by RFC 4180, read by other rules than it was written by. */
function cells(csv: string): string[][] {
  const rows: string[][] = [[]];
  const cell = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n)/gy;
  for (let found = cell.exec(csv); found; found = cell.exec(csv)) {
    const [, text = '', end] = found;
    rows.at(-1)?.push(text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text);
    if (end === '\r\n') rows.push([]);
    if (cell.lastIndex === csv.length) break;
  }
  return rows.slice(0, -1);
}

describe('the table of results', () => {
  test('has a row for each prediction of each method', async () => {
    const predictions = [{ sample: 'a', label: 0, predicted: 1, confidence: 0.98765 }, { sample: 'dog1', label: 1, predicted: 1, confidence: 1 }];
    expect(await table('a.jpg', ['cat', 'dog'], predictions)).toBe(
      'method,photo,label,prediction,confidence\r\ntip,a.jpg,cat,dog,0.9877\r\ntip,dog1.jpg,dog,dog,1.0000\r\n',
    );
  });

  test('names deleted photos by what they were called here, and knows nothing of classes that are gone', async () => {
    expect(cells(await table('a.jpg', ['cat', 'dog'], [{ sample: 'gone', label: 0, predicted: 7, confidence: 0.5 }]))[1]).toEqual(['tip', 'gone', 'cat', '', '0.5000']);
  });

  test('is CSV', () => expect(resultsTable(EMPTY).type).toBe('text/csv'));

  test('has its first line alone where nothing was learnt', async () => {
    expect(await resultsTable(EMPTY).text()).toBe('method,photo,label,prediction,confidence\r\n');
  });

  test.each(['a,b.jpg', 'say "hi".jpg', 'two\nlines', 'two\r\nlines', '"', '""', ' spaces ', 'ünïcode 猫.jpg', ''])('keeps the name %j whole', async (name) => {
    expect(cells(await table(name, [name, 'dog']))[1]).toEqual(['tip', name, name, 'dog', '0.9877']);
  });

  test('quotes only what needs it', async () => {
    const lines = (await table('a,b', ['x "y"', 'z'])).split('\r\n');
    expect(lines[1]).toBe('tip,"a,b","x ""y""",z,0.9877');
  });

  test.each(['=1+1', '=HYPERLINK("http://x","y")', '+1+cmd|\' /C calc\'!A0', '-2+3', '@SUM(A1)', '\t=1+1', '\r=1+1', '=', '-', '=a,b'])(
    'does not hand %j to a spreadsheet as a formula',
    async (name) => {
      const [, row] = cells(await table(name, ['cat', name]));
      expect(row).toEqual(['tip', `'${name}`, 'cat', `'${name}`, '0.9877']);
    },
  );

  test.each(['-1', '+5', '-1.5e3', 'a=b', '1-2', 'x@y'])('leaves %j, which is no formula', async (name) => {
    expect(cells(await table(name))[1]?.[1]).toBe(name);
  });
});

describe('a file’s name', () => {
  test.each([
    ['My project', 'my-project.csv'],
    ['  Cats & dogs!  ', 'cats-dogs.csv'],
    ['../../etc/passwd', 'etc-passwd.csv'],
    ['a\\b:c*d?e"f<g>h|i', 'a-b-c-d-e-f-g-h-i.csv'],
    ['.hidden', 'hidden.csv'],
    ['line\nline\u0000\u202e', 'line-line.csv'],
    ['', 'project.csv'],
    ['…!?', 'project.csv'],
    ['🐱', 'project.csv'],
    ['❤\ufe0f❤\ufe0f', 'project.csv'],
    ['I ❤\ufe0f❤\ufe0f cats', 'i-cats.csv'],
    ['Blumen 2024', 'blumen-2024.csv'],
    ['ＦＵＬＬ width', 'full-width.csv'],
  ])('of %j is %j', (name, expected) => expect(fileName(name, 'csv')).toBe(expected));

  test.each(['Müller Straße', 'Élan vital', 'ガーデン', 'हिन्दी नाम', 'ไทย', 'кошки и йод', 'Mu\u0308ller'])('of %j keeps every letter and its marks', (name) => {
    const expected = name.normalize('NFKC').toLowerCase().replaceAll(' ', '-');
    expect(fileName(name, 'lowshot.zip')).toBe(`${expected}.lowshot.zip`);
  });
});
