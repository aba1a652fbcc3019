import { texts } from '../texts';
import { sameList, useActions, useApp } from './app';
import { Button, NameField } from './controls';
import { Icon, Mark } from './icons';
import { openModels, openProjects } from './panels';

export function Header() {
  const actions = useActions();
  const [name, undo, redo] = useApp((state) => [state.project.name, state.project.undo, state.project.redo] as const, sameList);
  const kept = useApp((state) => state.storage.mode === 'persistent');
  const offline = useApp((state) => state.offline);
  return (
    <header class="header">
      <h1 class="brand">
        <Mark />
        <span>{texts.name}</span>
      </h1>
      <div class="header-project">
        <NameField value={name} label={texts.header.projectName} testId="project-name" onChange={(value) => actions.renameProject(value)} />
        <span class={`saved${kept ? '' : ' memory'}`}>{kept ? texts.header.saved : texts.header.notSaved}</span>
      </div>
      <nav class="header-tools">
        {offline && (
          <span class="tag offline" title={texts.header.offlineAbout} data-testid="offline">
            <Icon name="check" />
            {texts.header.offline}
          </span>
        )}
        <Button icon="undo" look="quiet" testId="undo" label={undo ? texts.header.undoWhat(undo) : texts.header.undo} disabled={!undo} onClick={() => actions.undo()} />
        {redo && <Button icon="redo" look="quiet" testId="redo" label={texts.header.redoWhat(redo)} onClick={() => actions.redo()} />}
        <Button icon="stack" look="quiet" testId="projects" aria-haspopup="dialog" onClick={openProjects}>
          {texts.header.projects}
        </Button>
        <ModelBadge />
      </nav>
    </header>
  );
}

function ModelBadge() {
  const model = useApp((state) => state.model);
  const { status, name, progress, info } = model;
  const text = {
    none: texts.header.modelNone,
    loading: texts.header.modelLoading(name),
    downloading: texts.header.modelDownloading(name, progress?.total ? progress.done / progress.total : 0),
    failed: texts.header.modelFailed(name),
    ready: name,
  }[status];
  return (
    <button type="button" class={`model-badge ${status}`} data-testid="model-badge" data-status={status} data-device={info?.device} aria-haspopup="dialog" title={model.problem ?? model.reason} onClick={openModels}>
      <span class="visually-hidden">{texts.header.model}: </span>
      <span class="model-light" />
      <span class="model-name">{text}</span>
      {status === 'ready' && info && <span class="model-device">{texts.header.device[info.device]}</span>}
    </button>
  );
}
