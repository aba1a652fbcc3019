import { texts } from '../texts';
import { useApp } from './app';
import { Button } from './controls';
import type { Example } from '../app/state';

interface Picture {
  name: string;
  blob: Blob;
  truth?: string | undefined;
}

/** Pictures to try at once, which come with the sample project. */
export function Examples({ onTry }: { onTry: (pictures: readonly Picture[]) => void }) {
  const examples = useApp((state) => state.examples);
  if (!examples.length) return null;
  const tryThem = async (some: readonly Example[]) => {
    const got = await Promise.all(some.map(load));
    onTry(got.filter((picture) => picture !== undefined));
  };
  return (
    <section class="examples" data-testid="examples">
      <header>
        <span>{texts.try.examples}</span>
        <Button look="quiet" testId="try-all" onClick={() => void tryThem(examples)}>
          {texts.try.all}
        </Button>
      </header>
      <ul>
        {examples.map((example) => (
          <li key={example.url}>
            <button type="button" aria-label={texts.try.example(example.name)} data-testid="example" onClick={() => void tryThem([example])}>
              <img src={example.url} alt="" loading="lazy" decoding="async" draggable={false} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

async function load(example: Example): Promise<Picture | undefined> {
  try {
    const response = await fetch(example.url);
    return response.ok ? { name: example.name, blob: await response.blob(), truth: example.truth } : undefined;
  } catch {
    return undefined; // offline, and not stored
  }
}
