import { useState } from 'preact/hooks';
import type { Model, ModelState } from '../app/state';
import { numericsOf } from '../engine/numerics';
import { texts } from '../texts';
import { useActions, useApp } from './app';
import { Button, Choice, FileButton, ProgressBar, Sheet } from './controls';
import { hasFiles, readDrop } from './drop';
import { Icon } from './icons';
import { Notices } from './notices';
import { closePanel } from './panels';

export function Models() {
  const models = useApp((state) => state.models);
  const state = useApp((one) => one.model);
  return (
    <Sheet title={texts.models.title} onClose={closePanel} testId="models-panel">
      <p class="lead">{texts.models.lead}</p>
      <ul class="rows">
        {models.map((model) => (
          <ModelRow key={model.name} model={model} state={state} />
        ))}
      </ul>
      <OwnModel />
      <DeviceChoice />
      <StorageUse />
      <section class="privacy">
        <Icon name="lock" />
        <div>
          <b>{texts.models.privacy}</b>
          <p>{texts.models.privacyAbout}</p>
        </div>
      </section>
      <Notices />
    </Sheet>
  );
}

function ModelRow({ model, state }: { model: Model; state: ModelState }) {
  const actions = useActions();
  const mine = state.name === model.name;
  const busy = mine && (state.status === 'downloading' || state.status === 'loading');
  const used = mine && state.status === 'ready';
  const facts = [
    texts.models.about(model.parametersMillions, model.imageSize),
    model.source === 'inside' ? texts.models.noWords : model.knowsWords ? texts.models.words : texts.models.noWordsOther,
    model.source === 'file' ? texts.models.fromFile : model.cachedBytes ? texts.models.cached(model.cachedBytes) : undefined,
  ].filter((fact) => fact !== undefined);
  return (
    <li class={`row model-row${used ? ' current' : ''}`} data-testid="model-row" data-name={model.name} data-status={mine ? state.status : 'idle'}>
      <div class="row-main">
        <b>{model.name}</b>
        <p>{model.about}</p>
        <ul class="facts">
          {facts.map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      </div>
      <div class="row-buttons">
        {used ? (
          <span class="tag used-tag">
            <Icon name="check" />
            {texts.models.inUse}
          </span>
        ) : busy ? (state.status === 'downloading' || (state.info && state.info.name !== model.name)) && (
          <Button testId="cancel-model" onClick={() => actions.cancelModel()}>
            {texts.models.cancel}
          </Button>
        ) : (
          <Button
            testId="use-model"
            {...(needsDownload(model) ? { icon: 'download' as const } : {})}
            onClick={() => void actions.useModel(model.name)}
          >
            {!needsDownload(model) ? texts.models.use : model.begun ? texts.models.goOn(model.bytes) : texts.models.download(model.bytes)}
          </Button>
        )}
        {(model.cachedBytes > 0 || model.begun) && model.source !== 'inside' && !busy && (
          <Button icon="trash" look="quiet" testId="forget-model" label={model.begun ? texts.models.forgetBegun(model.name) : texts.models.forgetAbout(model.name, model.cachedBytes)} onClick={() => void actions.forgetModel(model.name)} />
        )}
      </div>
      {busy && <Progress state={state} />}
      {mine && state.status === 'failed' && (
        <p class="row-problem" role="alert">
          {state.problem}
        </p>
      )}
    </li>
  );
}

function needsDownload(model: Model): boolean {
  return model.source === 'hub' && model.cachedBytes === 0;
}

function Progress({ state }: { state: ModelState }) {
  const { progress } = state;
  if (!progress) return <p class="row-progress">{texts.models.loading}</p>;
  return (
    <div class="row-progress">
      <ProgressBar fraction={progress.total ? progress.done / progress.total : 0} label={texts.models.title} />
      <small>
        <span class="number">{texts.models.progress(progress.done, progress.total)}</span> <span class="row-file">{progress.file}</span>
      </small>
    </div>
  );
}

function OwnModel() {
  const actions = useActions();
  return (
    <section
      class="own-model"
      onDragOver={(event) => {
        if (hasFiles(event.dataTransfer)) event.preventDefault();
      }}
      onDrop={(event) => {
        if (!event.dataTransfer || !hasFiles(event.dataTransfer)) return;
        event.preventDefault();
        event.stopPropagation();
        void readDrop(event.dataTransfer).then((items) => actions.useModelFiles(items.map((item) => item.file)));
      }}
    >
      <div>
        <b>{texts.models.own}</b>
        <p>{texts.models.ownAbout}</p>
      </div>
      <FileButton icon="folder" multiple testId="model-files-input" onFiles={(files) => void actions.useModelFiles(files)}>
        {texts.models.chooseFiles}
      </FileButton>
    </section>
  );
}

function DeviceChoice() {
  const { compute } = useActions();
  const { device, precision, weights } = useApp((state) => state.settings);
  const { info, reason } = useApp((state) => state.model);
  return (
    <section>
      <h3>{texts.models.device}</h3>
      <Choice label={texts.models.device} value={device} testId="device" options={optionsOf(texts.models.devices)} onChange={(value) => void compute({ device: value })} />
      <Caption text={texts.models.precision} />
      <Choice
        label={texts.models.precision}
        value={precision}
        testId="precision"
        options={optionsOf(texts.models.precisions)}
        onChange={(value) => void compute({ precision: value })}
      />
      <Caption text={texts.models.weights} />
      <Choice label={texts.models.weights} value={weights} testId="weights" options={optionsOf(texts.models.forms)} onChange={(value) => void compute({ weights: value })} />
      <p class="small">{texts.models.weightsAbout}</p>
      {info && (
        <p class="small">
          {texts.models.now(texts.header.device[info.device], info.deviceName, numericsOf(info))}, {texts.models.speed(info.imagesPerSecond)}
        </p>
      )}
      {reason && <p class="small sentence">{reason}</p>}
      {info?.precisionReason && <p class="small sentence">{info.precisionReason}</p>}
    </section>
  );
}

/** Above a choice, which says it by itself to those who hear the page. */
function Caption({ text }: { text: string }) {
  return (
    <p class="small" aria-hidden="true">
      {text}
    </p>
  );
}

function optionsOf<T extends string>(names: Readonly<Record<T, string>>): readonly { value: T; text: string }[] {
  return (Object.entries(names) as [T, string][]).map(([value, text]) => ({ value, text }));
}

function StorageUse() {
  const storage = useApp((state) => state.storage);
  return (
    <section data-testid="storage" data-mode={storage.mode}>
      <h3>{texts.models.storage}</h3>
      {storage.mode === 'memory' ? (
        <p class="warning">
          <Icon name="warning" />
          {texts.models.memory}
        </p>
      ) : (
        <>
          <ProgressBar fraction={storage.quotaBytes ? storage.usedBytes / storage.quotaBytes : 0} label={texts.models.storage} />
          <p class="small number">{texts.models.used(storage.usedBytes, storage.quotaBytes)}</p>
          <ForgetEverything />
        </>
      )}
      {storage.problem && <p class="warning">{storage.problem}</p>}
    </section>
  );
}

function ForgetEverything() {
  const actions = useActions();
  const [asking, setAsking] = useState(false);
  return (
    <>
      <div class="sheet-buttons">
        {asking ? (
          <>
            <Button look="danger" testId="forget-everything-sure" onClick={() => void actions.forgetEverything()}>
              {texts.models.forgetAllSure}
            </Button>
            <Button look="quiet" ref={(button) => button?.focus()} onClick={() => setAsking(false)}>
              {texts.projects.keep}
            </Button>
          </>
        ) : (
          <Button icon="trash" look="quiet" testId="forget-everything" onClick={() => setAsking(true)}>
            {texts.models.forgetAll}
          </Button>
        )}
      </div>
      <p class="small">{texts.models.forgetAllAbout}</p>
    </>
  );
}
