import { useMemo } from 'preact/hooks';
import type { RungResult } from '../app/state';
import { texts } from '../texts';
import { classColour } from './format';
import type { Learnt } from './insight';

/** A larger table could not be read; the pairs below it can. */
const largest = 24;
const mostPairs = 3;
/** Percent of colour in a cell, beyond a tenth: the figure on it stays readable in both schemes. */
const deepest = 38;

interface Props {
  result: RungResult;
  classes: readonly Learnt[];
}

export function Confusion({ result, classes }: Props) {
  return (
    <div class="panel confusion">
      <h3>{texts.insight.confusion}</h3>
      <p>{texts.insight.confusionAbout}</p>
      {classes.length <= largest && <Matrix result={result} classes={classes} />}
      <Pairs result={result} classes={classes} />
    </div>
  );
}

function Matrix({ result, classes }: Props) {
  return (
    <div class="matrix-scroll" tabIndex={0} role="region" aria-label={texts.insight.confusion}>
      <table class="matrix" data-testid="confusion">
        <thead>
          <tr>
            <td />
            {classes.map((said) => (
              <th key={said.id} scope="col" style={{ '--colour': classColour(said.colour) }} title={said.name}>
                <span>{said.name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {classes.map((truth, i) => {
            const row = result.confusion[i] ?? [];
            const of = row.reduce((sum, n) => sum + n, 0);
            return (
              <tr key={truth.id}>
                <th scope="row" style={{ '--colour': classColour(truth.colour) }} title={truth.name}>
                  <span>{truth.name}</span>
                </th>
                {classes.map((said, j) => {
                  const n = row[j] ?? 0;
                  const part = of ? n / of : 0;
                  return (
                    <td
                      key={said.id}
                      class={`${i === j ? 'right' : 'wrong'}${n ? '' : ' none'}`}
                      style={{ '--part': `${Math.round(10 + deepest * part)}%` }}
                      title={texts.insight.cell(truth.name, said.name, n, of)}
                    >
                      {n || <span aria-label="0">·</span>}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Pairs({ result, classes }: Props) {
  const pairs = useMemo(() => {
    const all = result.confusion.flatMap((row, i) => row.map((n, j) => ({ truth: i, said: j, n })));
    const mixed = all.filter((pair) => pair.truth !== pair.said && pair.n > 0).sort((a, b) => b.n - a.n);
    return mixed.slice(0, classes.length > largest ? 4 * mostPairs : mostPairs);
  }, [result, classes.length]);
  if (!pairs.length) return <p class="small">{texts.insight.noneMixed}</p>;
  return (
    <ul class="pairs">
      {pairs.map((pair) => (
        <li key={`${pair.truth} ${pair.said}`}>{texts.insight.pair(classes[pair.truth]?.name ?? '', classes[pair.said]?.name ?? '', pair.n)}</li>
      ))}
    </ul>
  );
}
