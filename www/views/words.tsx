import { useEffect, useId, useState } from 'preact/hooks';
import { texts } from '../texts';
import { useApp } from './app';
import { Button } from './controls';
import { openModels } from './panels';

/** A pause in typing after which the words count. */
const pause = 350;

/** Words of the visitor's own, which pictures are compared with. */
export function WordsField({ onChange }: { onChange: (words: readonly string[]) => void }) {
  const id = useId();
  const [text, setText] = useState<string>(texts.try.wordsExample);
  const model = useApp((state) => state.models.find((one) => one.name === state.model.name));
  useEffect(() => {
    const timer = setTimeout(() => {
      const words = text.split(/[,\n]/).map((word) => word.trim()).filter(Boolean);
      onChange([...new Set(words)]);
    }, pause);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div class="words">
      <label for={id}>{texts.try.wordsLabel}</label>
      <input id={id} class="field" data-testid="words" value={text} placeholder={texts.try.wordsExample} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
      {model && !model.knowsWords && (
        <p class="words-honest">
          {model.source === 'inside' ? texts.try.wordsHonest : texts.try.wordsHonestOther}{' '}
          <Button look="quiet" onClick={openModels}>
            {texts.try.fetch}
          </Button>
        </p>
      )}
    </div>
  );
}
