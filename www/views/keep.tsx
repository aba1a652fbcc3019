import { texts } from '../texts';
import { useActions, useApp } from './app';
import { Button, FileButton } from './controls';

/** The project and what was learnt, as files. */
export function Keep() {
  const actions = useActions();
  const trained = useApp((state) => state.training.used !== undefined);
  const judged = useApp((state) => state.training.ladder.some((rung) => rung.result));
  return (
    <section class="keep" id="keep" aria-labelledby="keep-title">
      <header class="section-head">
        <h2 id="keep-title">{texts.keep.title}</h2>
        <p>{texts.keep.lead}</p>
      </header>
      <div class="keep-cards">
        <div class="panel">
          <h3>{texts.keep.project}</h3>
          <p>{texts.keep.projectAbout}</p>
          <div class="panel-buttons">
            <Button icon="download" testId="save-project" onClick={() => void actions.saveProjectFile()}>
              {texts.keep.save}
            </Button>
            <FileButton icon="folder" look="quiet" accept=".lowshot,.zip" testId="open-project-input" onFiles={([file]) => file && void actions.openProjectFile(file)}>
              {texts.keep.open}
            </FileButton>
          </div>
        </div>
        <div class="panel">
          <h3>{texts.keep.adapter}</h3>
          <p>
            {texts.keep.adapterAbout} <code>{texts.keep.adapterCommand}</code> {texts.keep.adapterNative}
          </p>
          <div class="panel-buttons">
            <Button icon="download" testId="export-adapter" disabled={!trained} title={trained ? undefined : texts.keep.needTraining} onClick={() => void actions.exportAdapter()}>
              {texts.keep.exportAdapter}
            </Button>
            <FileButton icon="upload" look="quiet" accept=".safetensors" testId="import-adapter-input" onFiles={([file]) => file && void actions.importAdapter(file)}>
              {texts.keep.importAdapter}
            </FileButton>
          </div>
        </div>
        <div class="panel">
          <h3>{texts.keep.results}</h3>
          <p>{texts.keep.resultsAbout}</p>
          <div class="panel-buttons">
            <Button icon="table" testId="export-results" disabled={!judged} title={judged ? undefined : texts.keep.needTraining} onClick={() => void actions.exportResults()}>
              {texts.keep.exportResults}
            </Button>
          </div>
        </div>
      </div>
    </section>
  );
}
