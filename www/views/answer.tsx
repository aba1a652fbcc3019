import type { Answer } from '../app/state';
import { texts } from '../texts';
import { useApp } from './app';
import { classColour, percent } from './format';

/** More classes than this are not drawn: the likeliest are. */
const mostBars = 10;

/** What is said of a picture: the best class, how sure it is, and the rest as bars. */
export function AnswerView({ answer, live }: { answer: Answer; live?: boolean }) {
  const best = answer.classes[answer.best];
  const order = answer.classes.map((_, i) => i);
  const ranked = [...order].sort((a, b) => (answer.probabilities[b] ?? 0) - (answer.probabilities[a] ?? 0));
  // In the classes' own order while all fit, so that bars stay where they are.
  const drawn = order.length <= mostBars ? order : ranked.slice(0, mostBars);
  const second = answer.classes[ranked[1] ?? 0];
  return (
    <div class={`answer${answer.unsure ? ' unsure' : ''}`}>
      <div class="answer-head" aria-live={live ? 'off' : 'polite'}>
        {answer.unsure && (
          <p class="answer-unsure" data-testid="answer-unsure">
            {answer.unsure === 'unlike' ? texts.try.unlike : best && second ? texts.try.closeBetween(best.name, second.name) : texts.try.close}
          </p>
        )}
        <p
          class="answer-best"
          data-testid="answer-best"
          data-name={best?.name}
          data-probability={answer.probabilities[answer.best]}
          data-unsure={answer.unsure}
          style={{ '--colour': classColour(best?.colour ?? 0) }}
        >
          <span class="answer-name">{best?.name}</span> <span class="answer-sure">{percent(answer.probabilities[answer.best] ?? 0)}</span>
        </p>
      </div>
      <ul class="bars" aria-label={texts.try.answers}>
        {drawn.map((i) => {
          const card = answer.classes[i];
          const probability = answer.probabilities[i] ?? 0;
          return (
            card && (
              <li key={card.id} class={i === answer.best ? 'best' : ''} style={{ '--colour': classColour(card.colour) }}>
                <span class="bar-name">{card.name}</span>
                <span class="bar">
                  <span class="bar-done" style={{ transform: `scaleX(${probability})` }} />
                </span>
                <span class="bar-value number">{percent(probability)}</span>
              </li>
            )
          );
        })}
      </ul>
      {order.length > drawn.length && <p class="small">{texts.try.others(order.length - drawn.length)}</p>}
    </div>
  );
}

/** How the answer came about. */
export function Footnote({ answer, truth, byWords }: { answer: Answer; truth?: string | undefined; byWords: boolean }) {
  const trained = useApp((state) => state.training.used !== undefined);
  const knowsWords = useApp((state) => state.models.find((one) => one.name === state.model.name)?.knowsWords ?? true);
  const untrained = knowsWords ? texts.try.byText : texts.try.byTextWeak;
  return (
    <p class="answer-foot">
      {truth && !byWords && <span class={answer.classes[answer.best]?.name === truth ? 'right' : 'wrong'}>{texts.try.truth(truth)}</span>}
      <span>{!byWords && !trained ? untrained : texts.try.by(texts.method(answer.method).name)}</span>
      <span class="number">{texts.try.milliseconds(answer.milliseconds)}</span>
    </p>
  );
}
