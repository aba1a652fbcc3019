import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { CATALOGUE, DEMO, type Listed, remoteFiles } from '../../../../www/app/catalogue.ts';
import { DEMO_FILES } from '../../../../www/engine/demo.ts';
import { LowshotError } from '../../../../www/engine/error.ts';
import { sha256 } from '../support/bytes.ts';
import { FileServer } from '../support/file-server.ts';

describe('the model that comes with the page', () => {
  test.each(DEMO_FILES)('has $name as it is said to be', ({ name, url, bytes, sha256: expected }) => {
    expect(url).toMatch(new RegExp(`/models/demo-clip/${name}$`));
    const found = readFileSync(new URL(`../../../../models/demo-clip/${name}`, import.meta.url));
    expect({ bytes: found.length, sha256: sha256(found) }).toEqual({ bytes, sha256: expected });
  });

  test('is fetched from the page itself, without a hub', async () => {
    const fetching = vi.spyOn(globalThis, 'fetch');
    const demo = CATALOGUE.find(({ name }) => name === DEMO) as Listed;
    expect(await remoteFiles(demo)).toEqual(DEMO_FILES);
    expect(fetching).not.toHaveBeenCalled();
    fetching.mockRestore();
  });
});

describe('the list of models', () => {
  const rust = readFileSync(new URL('../../../../src/session/models.rs', import.meta.url), 'utf8');
  const demo = /pub const DEMO: &str = "(.+)";/.exec(rust)?.[1];
  const entry = /NamedModel \{\s+name: (?:"(.+)"|DEMO),\s+repository: (?:Some\("(.+)"\)|None),\s+(?:\/\/.*\s+)?revision: (?:"(.+)"|MAIN),\s+parameters: ([\d.]+),\s+image: (\d+),/g;
  const native = [...rust.matchAll(entry)].map(([, name, repository, revision, parameters, image]) => ({
    name: name ?? demo,
    repository,
    revision,
    parametersMillions: Number(parameters),
    imageSize: Number(image),
  }));

  test('of the program has been understood', () => {
    expect(native).toHaveLength(rust.match(/NamedModel \{\n {8}/g)?.length ?? 0);
    expect(native.length).toBeGreaterThan(5);
  });

  test.each(CATALOGUE)('has $name as the program has it', ({ name, repository, revision, parametersMillions, imageSize }) => {
    expect(native.find((model) => model.name === name)).toEqual({ name, repository, revision, parametersMillions, imageSize });
  });

  test.each(CATALOGUE)('says of $name where it comes from, and about how much is downloaded', ({ repository, source, bytes, parametersMillions }) => {
    expect(source).toBe(repository ? 'hub' : 'inside');
    // Four bytes a number.
    if (repository) expect(bytes / (parametersMillions * 4e6)).toBeCloseTo(1, 1);
    else expect(bytes).toBe(0);
  });
});

describe('a model on the hub', () => {
  const model = CATALOGUE.find(({ name }) => name === 'ViT-B/32') as Listed;
  const address = `/api/models/${model.repository}/revision/${model.revision}?blobs=true`;
  const file = (rfilename: string, size: number, sha?: string) => ({ rfilename, size, blobId: 'x', ...(sha ? { lfs: { sha256: sha, size } } : {}) });
  const siblings = [file('README.md', 9), file('config.json', 4186), file('model.safetensors', 605_157_884, 'abc'), file('vocab.json', 862_328), file('merges.txt', 524_657), file('pytorch_model.bin', 5, 'z')];

  let server: FileServer;
  let answered = false;
  afterEach(async () => {
    vi.unstubAllGlobals();
    await server?.stop();
  });

  /** A hub that answers this; with its own server, which the page is led to. */
  async function hub(listing: unknown): Promise<void> {
    const body = new TextEncoder().encode(typeof listing === 'string' ? listing : JSON.stringify(listing));
    server = await FileServer.start({ [address]: body });
    const real = globalThis.fetch;
    answered = false;
    vi.stubGlobal('fetch', async (url: string, options: RequestInit) => {
      const answer = await real(url.replace('https://huggingface.co', server.address), options);
      answered = true;
      return answer;
    });
  }

  test('has the files that are wanted, of one commit, with the hashes that are published', async () => {
    await hub({ sha: '3d74acf', siblings });
    const at = (name: string): string => `https://huggingface.co/openai/clip-vit-base-patch32/resolve/3d74acf/${name}`;
    expect(await remoteFiles(model)).toEqual([
      { name: 'config.json', url: at('config.json'), bytes: 4186, sha256: undefined },
      { name: 'vocab.json', url: at('vocab.json'), bytes: 862_328, sha256: undefined },
      { name: 'merges.txt', url: at('merges.txt'), bytes: 524_657, sha256: undefined },
      { name: 'model.safetensors', url: at('model.safetensors'), bytes: 605_157_884, sha256: 'abc' },
    ]);
    expect(server.paths).toEqual([address]);
  });

  test('is of its main branch where the hub names no commit', async () => {
    await hub({ siblings });
    expect((await remoteFiles(model))[0]?.url).toContain('/resolve/main/config.json');
  });

  test('is asked for without saying who asks', async () => {
    await hub({ siblings });
    const asking = vi.fn(globalThis.fetch);
    vi.stubGlobal('fetch', asking);
    await remoteFiles(model);
    expect(asking.mock.calls[0]?.[1]).toMatchObject({ credentials: 'omit', referrerPolicy: 'no-referrer' });
  });

  test.each<[string, unknown, string]>([
    ['its weights', { siblings: siblings.filter(({ rfilename }) => rfilename !== 'model.safetensors') }, 'model.safetensors'],
    ['its shape', { siblings: siblings.filter(({ rfilename }) => rfilename !== 'config.json') }, 'config.json'],
    ['anything', { siblings: [] }, 'config.json and no model.safetensors'],
    ['a list of files', { error: 'Repository not found' }, 'config.json and no model.safetensors'],
    ['a list that is one', { siblings: { find: 1 } }, 'config.json and no model.safetensors'],
    ['files that are some', { siblings: [null, 7, 'config.json', ...siblings.slice(0, 2)] }, 'model.safetensors'],
    ['the size of its weights', { siblings: [siblings[1], { rfilename: 'model.safetensors' }] }, 'model.safetensors'],
    ['a size that is one', { siblings: [siblings[1], file('model.safetensors', -5)] }, 'model.safetensors'],
    ['an object', 'null', 'config.json and no model.safetensors'],
  ])('that lacks %s is not taken', async (_, listing, missing) => {
    await hub(listing);
    await expect(remoteFiles(model)).rejects.toMatchObject({ kind: 'model', message: `openai/clip-vit-base-patch32 has no ${missing}: choose another model` });
  });

  test.each(['', '<html>Sign in to this network</html>', '{"siblings": ['])('of which comes %j is a matter of the network', async (body) => {
    await hub(body);
    const message = 'ViT-B/32 cannot be fetched: what huggingface.co answers is damaged; try again later';
    await expect(remoteFiles(model)).rejects.toMatchObject({ kind: 'network', message });
  });

  test('is a matter of the network where the answer breaks off', async () => {
    await hub({ sha: '3d74acf', siblings });
    server.misbehaviours.push({ cutAfter: 100 });
    await expect(remoteFiles(model)).rejects.toMatchObject({ kind: 'network' });
  });

  test.each([404, 429, 500, 503])('that is answered by %i says so', async (status) => {
    await hub({});
    server.misbehaviours.push({ status });
    const message = `ViT-B/32 cannot be fetched: huggingface.co says ${status}; try again later`;
    await expect(remoteFiles(model)).rejects.toMatchObject({ kind: 'network', message });
  });

  test('says that there is no network', async () => {
    await hub({});
    await server.stop();
    const message = 'ViT-B/32 cannot be fetched: huggingface.co does not answer; is there a network?';
    await expect(remoteFiles(model)).rejects.toMatchObject({ kind: 'network', message });
  });

  test.each([['before the hub answers', 0], ['in the middle of the answer', 100]])('is let go when whoever asked changes their mind %s', async (_, stallsAfter) => {
    await hub({ sha: '3d74acf', siblings });
    server.misbehaviours.push({ stallsAfter });
    const abort = new AbortController();
    const listing = remoteFiles(model, abort.signal).catch((error: unknown) => LowshotError.from(error).kind);
    await expect.poll(() => (stallsAfter > 0 ? answered : server.paths.length === 1)).toBe(true);
    abort.abort();
    expect(await listing).toBe('cancelled');
  });
});
