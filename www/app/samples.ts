/** The sample projects that come with the page. */
import { LowshotError } from '../engine/error.ts';
import type { SampleSet } from './record.ts';
import type { Credit, Example } from './state.ts';

export interface Samples {
  readonly name: string;
  readonly templates: readonly string[];
  readonly classes: readonly { readonly name: string; readonly photos: readonly string[] }[];
  readonly examples: readonly Example[];
  readonly credits: readonly Credit[];
}

/** Everyday photos by what is on them. */
const EVERYDAY: Readonly<Record<string, readonly string[]>> = {
  animals: ['cat on sofa', 'golden dog in snow'],
  vehicles: ['blue vintage car', 'red firefighter bicycle', 'sailboat at sea', 'airplane wing at dusk'],
  food: ['homemade pizza', 'birthday cake candles', 'coffee and book'],
  nature: ['mountains at sunset', 'hiker in forest', 'yellow flower'],
};
const EUROSAT: Credit = {
  title: 'EuroSAT',
  by: 'Helber, Bischke, Dengel, Borth, from Sentinel-2',
  license: 'MIT',
  source: 'https://github.com/phelber/EuroSAT',
};
/** Examples of each class to try. */
const SHOWN = 4;

export async function openSamples(which: SampleSet): Promise<Samples> {
  return which === 'eurosat' ? eurosat() : everyday();
}

async function eurosat(): Promise<Samples> {
  const { classes } = await list<{ classes: { name: string; photos: string[]; others: string[] }[] }>('samples/eurosat.json');
  const examples = classes.flatMap(({ name, others }) => others.slice(0, SHOWN).map((url): Example => ({ name: url.split('/').at(-1) ?? url, url, truth: name })));
  // Mixed, so that the first few are of different classes.
  const mixed = examples.map((_, index) => examples[(index % classes.length) * SHOWN + Math.floor(index / classes.length)]);
  const templates = ['a centered satellite photo of {}.'];
  return { name: 'Satellite tiles', templates, classes, examples: mixed.flatMap((one) => one ?? []), credits: [EUROSAT] };
}

async function everyday(): Promise<Samples> {
  const { photos } = await list<{ photos: { file: string; title: string; credit: string; license: string; source: string }[] }>('samples/photos.json');
  const file = (title: string): string[] => photos.filter((photo) => photo.title === title).map((photo) => photo.file);
  const classes = Object.entries(EVERYDAY).map(([name, titles]) => ({ name, photos: titles.flatMap(file) }));
  const credits = photos.map(({ title, credit, license, source }) => ({ title, by: credit, license, source }));
  return { name: 'Everyday photos', templates: [], classes, examples: [], credits };
}

async function list<T>(address: string): Promise<T> {
  const response = await fetch(address).catch(() => undefined);
  if (!response?.ok) throw new LowshotError('network', 'the samples cannot be fetched: reload the page when there is a network');
  return (await response.json()) as T;
}
