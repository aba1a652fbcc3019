import { useState } from 'preact/hooks';
import type { ClassCard, Method, RungResult, Training } from '../app/state';
import { texts } from '../texts';
import { sameList, useApp } from './app';
import { Confusion } from './confusion';
import { Choice } from './controls';
import { classColour, percent } from './format';
import { Hardest } from './hardest';
import { SampleMap } from './map';

/** A class as it was when it was learnt; it may be gone by now. */
export interface Learnt {
  readonly id: string;
  readonly name: string;
  readonly colour: number;
}

export function learntClasses(training: Training, cards: readonly ClassCard[]): Learnt[] {
  return training.classes.map((id) => cards.find((card) => card.id === id) ?? { id, name: '–', colour: 0 });
}

/** What the held-out photos tell of a method. */
export function Insight() {
  const results = useApp((state) => state.training.ladder.map((rung) => rung.result).filter((result) => result !== undefined), sameList);
  const used = useApp((state) => state.training.used);
  const classes = useApp((state) => learntClasses(state.training, state.project.classes), sameLearnt);
  const mapped = useApp((state) => !!state.training.map?.length);
  const [wanted, setWanted] = useState<Method>();
  const result = results.find((one) => one.method === wanted) ?? results.find((one) => one.method === used) ?? results.at(-1);
  return (
    <section class="insight" id="insight" aria-labelledby="insight-title" data-testid="insight">
      <header class="section-head">
        <h2 id="insight-title">{texts.insight.title}</h2>
        <p>{result ? texts.insight.lead : texts.insight.nothing}</p>
        {result && results.length > 1 && (
          <Choice
            label={texts.insight.of}
            value={result.method}
            testId="insight-method"
            options={results.map((one) => ({ value: one.method, text: texts.method(one.method).name }))}
            onChange={setWanted}
          />
        )}
      </header>
      {(result || mapped) && (
        <div class="insight-grid">
          {result && <PerClass result={result} classes={classes} />}
          {result && <Confusion result={result} classes={classes} />}
          <SampleMap />
          {result && <Hardest result={result} classes={classes} />}
        </div>
      )}
    </section>
  );
}

function sameLearnt(a: readonly Learnt[], b: readonly Learnt[]): boolean {
  return a.length === b.length && a.every((one, i) => one.id === b[i]?.id && one.name === b[i]?.name && one.colour === b[i]?.colour);
}

function PerClass({ result, classes }: { result: RungResult; classes: readonly Learnt[] }) {
  return (
    <div class="panel per-class">
      <h3>{texts.insight.perClass}</h3>
      <ul class="bars">
        {classes.map((one, i) => {
          const figures = result.perClass[i];
          const accuracy = figures?.accuracy ?? 0;
          const n = figures?.n ?? 0;
          return (
            <li key={one.id} style={{ '--colour': classColour(one.colour) }} data-testid="class-accuracy" data-name={one.name}>
              <span class="bar-name">{one.name}</span>
              <span class="bar">
                <span class="bar-done" style={{ transform: `scaleX(${accuracy})` }} />
              </span>
              <span class="bar-value number">{figures?.accuracy == null ? '–' : percent(accuracy)}</span>
              <small class="number">{texts.insight.right(Math.round(accuracy * n), n)}</small>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
