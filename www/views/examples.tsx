import { useEffect, useRef } from 'preact/hooks';
import type { Example } from '../app/state';
import { texts } from '../texts';
import { useApp } from './app';
import { Button } from './controls';
import type { Picture } from './tries';

/** Pictures to try at once, which come with the sample project. */
export function Examples({ busy, onTry }: { busy: boolean; onTry: (pictures: readonly Picture[]) => void }) {
  const examples = useApp((state) => state.examples);
  const project = useApp((state) => state.project.id);
  const ready = useApp((state) => state.model.status === 'ready');
  const first = examples[0];
  const shownFor = useRef<string>(undefined);

  // The first is shown by itself, so that an answer is there from the beginning and is seen to become better.
  useEffect(() => {
    if (!first || !ready || busy || shownFor.current === project) return;
    shownFor.current = project;
    void load(first).then((picture) => picture && shownFor.current === project && onTry([{ ...picture, unasked: true }]));
  }, [project, first?.url, ready]);

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

async function load({ name, url, truth }: Example): Promise<Picture | undefined> {
  try {
    const response = await fetch(url);
    if (!response.ok) return undefined;
    return { name, blob: await response.blob(), ...(truth === undefined ? {} : { truth }) };
  } catch {
    return undefined; // without a network, and not stored
  }
}
