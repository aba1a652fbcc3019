/** The models that can be had, and where their files are. The names are those that `lowshot --model` takes. */
import { DEMO_FILES } from '../engine/demo.ts';
import { LowshotError, check } from '../engine/error.ts';
import type { RemoteFile } from '../store/pieces.ts';
import type { Model } from './state.ts';

export interface Listed extends Omit<Model, 'cachedBytes' | 'begun'> {
  /** On the Hugging Face hub. */
  readonly repository?: string;
  /** The commit of it that holds safetensors, where the main branch does not. */
  readonly revision?: string;
}

export const DEMO = 'demo';
const HUB = 'https://huggingface.co';
/** What is taken of a repository; the tokenizer as two files is a quarter of the one. */
const WANTED = ['config.json', 'preprocessor_config.json', 'vocab.json', 'merges.txt', 'model.safetensors'];

export const CATALOGUE: readonly Listed[] = [
  {
    name: DEMO,
    about: 'Comes with the page. Quick, learns from photos, but knows only 61 nouns by word.',
    parametersMillions: 8.4,
    imageSize: 64,
    bytes: 0,
    source: 'inside',
    knowsWords: false,
  },
  {
    name: 'TinyCLIP-8M',
    about: 'The smallest real CLIP: understands words, quick even without a GPU.',
    parametersMillions: 23.4,
    imageSize: 224,
    bytes: 94_000_000,
    source: 'hub',
    knowsWords: true,
    repository: 'wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M',
  },
  {
    name: 'ViT-B/32',
    about: 'OpenAI’s CLIP, the quicker one. Understands almost any words.',
    parametersMillions: 151.3,
    imageSize: 224,
    bytes: 605_000_000,
    source: 'hub',
    knowsWords: true,
    repository: 'openai/clip-vit-base-patch32',
    revision: 'eaee4c876b93e66f7fac584b529025a96d71ad66',
  },
  {
    name: 'ViT-B/16',
    about: 'OpenAI’s CLIP, the more accurate one; better with a GPU.',
    parametersMillions: 149.6,
    imageSize: 224,
    bytes: 599_000_000,
    source: 'hub',
    knowsWords: true,
    repository: 'openai/clip-vit-base-patch16',
  },
];

/** The files of a model of the list; those on the hub are looked up there, with the hashes that it publishes. */
export async function remoteFiles(model: Listed, signal?: AbortSignal): Promise<RemoteFile[]> {
  if (!model.repository) return [...DEMO_FILES];
  const revision = model.revision ? `/revision/${model.revision}` : '';
  const address = `${HUB}/api/models/${model.repository}${revision}?blobs=true`;
  const response = await fetch(address, { signal: signal ?? null, credentials: 'omit', referrerPolicy: 'no-referrer' }).catch((error: unknown) => {
    if (LowshotError.from(error).kind === 'cancelled') throw error;
    throw new LowshotError('network', `${model.name} cannot be fetched: huggingface.co does not answer; is there a network?`);
  });
  if (!response.ok) throw new LowshotError('network', `${model.name} cannot be fetched: huggingface.co says ${response.status}; try again later`);
  const listing = (await response.json().catch(() => {
    check(signal);
    throw new LowshotError('network', `${model.name} cannot be fetched: what huggingface.co answers is damaged; try again later`);
  })) as Partial<Listing> | null;
  const siblings = Array.isArray(listing?.siblings) ? (listing.siblings as Listing['siblings']) : [];
  const files = WANTED.flatMap((name) => {
    const found = siblings.find((one) => one?.rfilename === name && Number.isSafeInteger(one.size) && one.size > 0);
    return found ? [{ name, url: `${HUB}/${model.repository}/resolve/${listing?.sha ?? 'main'}/${name}`, bytes: found.size, sha256: found.lfs?.sha256 }] : [];
  });
  const missing = ['config.json', 'model.safetensors'].filter((name) => !files.some((file) => file.name === name));
  if (missing.length > 0) throw new LowshotError('model', `${model.repository} has no ${missing.join(' and no ')}: choose another model`);
  return files;
}

interface Listing {
  readonly sha: string;
  readonly siblings: readonly ({ readonly rfilename: string; readonly size: number; readonly lfs?: { readonly sha256: string } } | null)[];
}
