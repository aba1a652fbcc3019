import { texts } from '../texts';
import { Button } from './controls';
import { classColour, percent } from './format';
import { Icon } from './icons';
import type { Try } from './tries';

/** Several pictures at once: each with what is said of it. */
export function Results({ tries, chosen, onChoose, onClear }: { tries: readonly Try[]; chosen: Try | undefined; onChoose: (key: number) => void; onClear: () => void }) {
  return (
    <section class={`results${tries.length === 1 ? ' one' : ''}`} aria-label={texts.try.results(tries.length)}>
      <header>
        <span>{texts.try.results(tries.length)}</span>
        <Button look="quiet" testId="try-clear" onClick={onClear}>
          {texts.try.clear}
        </Button>
      </header>
      <ul>
        {tries.map((one) => (
          <Result key={one.key} picture={one} chosen={one === chosen} onChoose={() => onChoose(one.key)} />
        ))}
      </ul>
    </section>
  );
}

function Result({ picture, chosen, onChoose }: { picture: Try; chosen: boolean; onChoose: () => void }) {
  const { answer, status } = picture;
  const best = answer?.classes[answer.best];
  const sure = answer ? percent(answer.probabilities[answer.best] ?? 0) : '';
  const about = picture.problem ?? `${picture.name}: ${best?.name ?? (status === 'silent' ? texts.try.noAnswer : texts.try.thinking)} ${sure}`;
  return (
    <li
      data-testid="try-result"
      data-file={picture.name}
      data-status={status}
      data-best={best?.name}
      data-probability={answer?.probabilities[answer.best]}
      data-unsure={answer?.unsure}
      style={{ '--colour': classColour(best?.colour ?? 0) }}
    >
      <button type="button" class={`result ${status}${answer?.unsure ? ' unsure' : ''}`} aria-pressed={chosen} title={about} onClick={onChoose}>
        {picture.small ? <img src={picture.small} alt="" decoding="async" /> : <span class="blank">{picture.problem && <Icon name="warning" />}</span>}
        <span class="result-name">{best?.name ?? (status === 'waiting' ? '…' : '?')}</span>
      </button>
    </li>
  );
}
