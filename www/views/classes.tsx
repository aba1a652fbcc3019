import { useRef, useState } from 'preact/hooks';
import { texts } from '../texts';
import { sameList, useActions, useApp } from './app';
import { ClassCardView } from './class-card';
import { Button, ProgressBar } from './controls';
import { useGradually } from './later';
import { Step } from './step';

/** The first step: what is to be told apart, and its photos. */
export function Classes() {
  const actions = useActions();
  const ids = useApp((state) => state.project.classes.map((card) => card.id), sameList);
  const project = useApp((state) => state.project.id);
  const [fresh, setFresh] = useState<string>();
  return (
    <Step number={1} id="classes" title={texts.classes.title} lead={texts.classes.lead}>
      <Adding />
      {ids.length === 0 && <FirstClass />}
      <Cards key={project} ids={ids} fresh={fresh} />
      {ids.length > 0 && (
        <button type="button" class="add-class" data-testid="add-class" onClick={() => setFresh(actions.addClass())}>
          <span aria-hidden="true">+</span> {texts.classes.add}
        </button>
      )}
      <Credits />
    </Step>
  );
}

/** As many cards as are drawn in one task. */
const few = 2;

function Cards({ ids, fresh }: { ids: readonly string[]; fresh: string | undefined }) {
  const drawn = useGradually(ids.length, few);
  return (
    <div class="class-cards">
      {ids.map((id, index) => (index < drawn ? <ClassCardView key={id} id={id} fresh={id === fresh} /> : <div key={id} class="class-card blank" />))}
    </div>
  );
}

/** Whose the sample's photos are. */
function Credits() {
  const credits = useApp((state) => state.credits);
  if (credits.length === 0) return null;
  return (
    <details class="credits small" open={credits.length === 1} data-testid="credits">
      <summary>{texts.samples.credits}</summary>
      <ul>
        {credits.map(({ title, by, license, source }) => (
          <li key={source}>
            <a href={source} rel="noreferrer" target="_blank">
              {title}
            </a>
            {texts.samples.credit(by, license)}
          </li>
        ))}
      </ul>
    </details>
  );
}

function Adding() {
  const adding = useApp((state) => state.adding);
  if (!adding) return null;
  const text = texts.classes.adding(adding.done, adding.total);
  return (
    <div class="adding">
      <span>{text}</span>
      <ProgressBar fraction={adding.total ? adding.done / adding.total : 0} label={text} />
    </div>
  );
}

/** An empty project asks what it is for. */
function FirstClass() {
  const actions = useActions();
  const field = useRef<HTMLInputElement>(null);
  return (
    <div class="first-class">
      <h3>{texts.classes.emptyTitle}</h3>
      <p>{texts.classes.emptyLead}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          actions.addClass(field.current?.value.trim() || undefined);
        }}
      >
        <input ref={field} class="field" aria-label={texts.classes.nameOf} placeholder={texts.classes.emptyFirst} autocomplete="off" />
        <button type="submit" class="button primary" data-testid="add-class">
          {texts.classes.emptyAdd}
        </button>
      </form>
      <p class="small">{texts.classes.emptyFolders}</p>
      <h4>{texts.classes.orSample}</h4>
      <Samples />
    </div>
  );
}

/** Projects that come with the page. */
export function Samples({ onOpened }: { onOpened?: () => void }) {
  const actions = useActions();
  return (
    <div class="samples">
      {(['eurosat', 'photos'] as const).map((which) => (
        <Button
          key={which}
          testId={`sample-${which}`}
          onClick={() => {
            void actions.openSample(which);
            onOpened?.();
          }}
        >
          <b>{texts.samples[which].name}</b>
          <small>{texts.samples[which].about}</small>
        </Button>
      ))}
    </div>
  );
}
