/** What leaves the page as files. */
import type { State } from './state.ts';

/** Every photo's held-out prediction by every method, as a CSV table. */
export function resultsTable({ project, training }: State): Blob {
  const names = new Map(project.classes.flatMap(({ samples }) => samples.map(({ id, name }) => [id, name])));
  const classes = new Map(project.classes.map(({ id, name }) => [id, name]));
  const called = (label: number): string => classes.get(training.classes[label] ?? '') ?? '';
  const rows = training.ladder.flatMap(({ method, result }) =>
    (result?.predictions ?? []).map(({ sample, label, predicted, confidence }) => [method, names.get(sample) ?? sample, called(label), called(predicted), confidence.toFixed(4)]),
  );
  const lines = [['method', 'photo', 'label', 'prediction', 'confidence'], ...rows].map((row) => row.map(quoted).join(','));
  return new Blob([`${lines.join('\r\n')}\r\n`], { type: 'text/csv' });
}

function quoted(cell: string): string {
  // A cell that begins like a formula would be run by a spreadsheet.
  const safe = /^[=+\-@\t\r]/.test(cell) && Number.isNaN(Number(cell)) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has to have begun to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A project's name as a file's. */
export function fileName(name: string, extension: string): string {
  const plain = name
    .normalize('NFKC')
    // Marks belong to the letters before them.
    .replace(/(?:[^\p{L}\p{M}\p{N}]\p{M}*)+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .toLowerCase();
  return `${plain || 'project'}.${extension}`;
}
