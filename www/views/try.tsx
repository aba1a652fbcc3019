import { useEffect, useMemo, useState } from 'preact/hooks';
import { texts } from '../texts';
import { useActions, useApp } from './app';
import { AnswerView, Footnote } from './answer';
import { Button, Choice, FileButton, Switch } from './controls';
import { useDropTarget } from './drop-target';
import { Examples } from './examples';
import { Live } from './live';
import { Results } from './results';
import { Step } from './step';
import { Stage } from './stage';
import { type Try as Picture, useTries } from './tries';
import { WordsField } from './words';

/** Pictures for the preview that were dropped or pasted elsewhere on the page. */
export const tryEvent = 'lowshot-try';

/** The third step: any picture, or what the camera sees, and what is said of it. */
export function Try() {
  const actions = useActions();
  const [mode, setMode] = useState<'mine' | 'words'>('mine');
  const [typed, setTyped] = useState<readonly string[]>([]);
  const words = useMemo(() => (mode === 'words' ? typed : undefined), [mode, typed]);
  const epoch = useApp(
    ({ training, model, project }) =>
      `${training.used} ${training.status === 'running'} ${training.stale} ${model.name} ${model.status} ${project.id} ${project.classes.map((card) => (card.enabled ? card.name : '')).join()}`,
  );
  const { tries, chosen, choose, add, clear } = useTries(words, epoch);
  const [live, setLive] = useState(false);
  const [heat, setHeat] = useState(false);
  const enough = useApp((state) => state.project.classes.filter((card) => card.enabled).length >= 2);

  const addFiles = (files: readonly File[]) => {
    setLive(false);
    add(files.map((file) => ({ name: file.name, blob: file })));
  };
  /** Photos of the classes, dragged here: seen before, but good for looking at the heat map. */
  const addSamples = async (ids: readonly string[]) => {
    const blobs = await Promise.all(ids.slice(0, 24).map((id) => actions.photo(id)));
    setLive(false);
    add(blobs.flatMap((blob) => (blob ? { name: blob instanceof File ? blob.name : '', blob } : [])));
  };
  const [over, dropped] = useDropTarget(
    (items) => addFiles(items.map((item) => item.file)),
    (ids) => void addSamples(ids),
  );
  const project = useApp((state) => state.project.id);
  useEffect(clear, [project]); // pictures belong to what is being told apart
  useEffect(() => {
    const listen = (event: Event) => addFiles((event as CustomEvent<readonly File[]>).detail);
    document.addEventListener(tryEvent, listen);
    return () => document.removeEventListener(tryEvent, listen);
  }, []);

  const ready = words ? words.length >= 2 : enough;
  return (
    <Step number={3} id="try" title={texts.try.title} lead={texts.try.lead}>
      <div class={`try${over ? ' over' : ''}`} data-testid="try" {...dropped}>
        <div class="try-bar">
          <Choice
            label={texts.try.source}
            value={mode}
            testId="try-mode"
            options={[
              { value: 'mine', text: texts.try.mine },
              { value: 'words', text: texts.try.words },
            ]}
            onChange={setMode}
          />
          <Switch on={heat} onChange={() => setHeat(!heat)}>
            {texts.try.heat}
          </Switch>
        </div>
        {mode === 'words' && <WordsField onChange={setTyped} />}

        {live ? <Live words={words} ready={ready} heat={heat} onClose={() => setLive(false)} /> : chosen ? <Shown picture={chosen} heat={heat} ready={ready} byWords={!!words} /> : <div class="try-empty">{texts.try.drop}</div>}

        <div class="try-sources">
          <Button icon={live ? 'stop' : 'camera'} testId="try-camera" onClick={() => setLive(!live)}>
            {live ? texts.try.cameraStop : texts.try.camera}
          </Button>
          <FileButton icon="pictures" accept="image/*" multiple testId="try-input" onFiles={addFiles}>
            {texts.try.choose}
          </FileButton>
        </div>

        {tries.some((one) => !one.unasked) && !live && <Results tries={tries} chosen={chosen} onChoose={choose} onClear={clear} />}
        <Examples
          busy={live}
          onTry={(pictures) => {
            if (!pictures.every((picture) => picture.unasked)) setLive(false);
            add(pictures);
          }}
        />
      </div>
    </Step>
  );
}

function Shown({ picture, heat, ready, byWords }: { picture: Picture; heat: boolean; ready: boolean; byWords: boolean }) {
  const { status, answer, truth } = picture;
  return (
    <>
      <Stage blob={status === 'unreadable' ? undefined : picture.blob} name={picture.name} heat={heat && !!answer} />
      <div class="try-answer" data-testid="try-answer" data-status={status}>
        {answer && ready ? <AnswerView answer={answer} /> : <p class="try-note">{picture.problem ? picture.problem : !ready ? (byWords ? texts.try.wordsNeedTwo : texts.try.needClasses) : status === 'silent' ? texts.try.noAnswer : texts.try.thinking}</p>}
        {answer && ready && <Footnote answer={answer} truth={truth} byWords={byWords} />}
      </div>
    </>
  );
}
