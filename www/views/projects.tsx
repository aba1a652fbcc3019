import { useState } from 'preact/hooks';
import type { ProjectSummary } from '../app/state';
import { texts } from '../texts';
import { useActions, useApp } from './app';
import { Samples } from './classes';
import { Button, FileButton, Sheet } from './controls';
import { Notices } from './notices';
import { closePanel } from './panels';

export function Projects() {
  const actions = useActions();
  const current = useApp((state) => state.project.id);
  const projects = useApp((state) => state.projects);
  const then = (work: Promise<void>) => {
    void work;
    closePanel();
  };
  return (
    <Sheet title={texts.projects.title} onClose={closePanel} testId="projects-panel">
      <div class="sheet-buttons">
        <Button icon="plus" look="primary" testId="new-project" onClick={() => then(actions.newProject())}>
          {texts.projects.fresh}
        </Button>
        <FileButton icon="folder" accept=".lowshot,.zip" testId="open-project-input-panel" onFiles={([file]) => file && then(actions.openProjectFile(file))}>
          {texts.projects.open}
        </FileButton>
        <Button icon="download" onClick={() => void actions.saveProjectFile()}>
          {texts.projects.save}
        </Button>
      </div>
      <section>
        <h3>{texts.projects.list}</h3>
        <ul class="rows">
          {projects.map((project) => (
            <Row key={project.id} project={project} current={project.id === current} onOpen={() => then(actions.openProject(project.id))} />
          ))}
        </ul>
      </section>
      <section>
        <h3>{texts.projects.samples}</h3>
        <Samples onOpened={closePanel} />
      </section>
      <Notices />
    </Sheet>
  );
}

function Row({ project, current, onOpen }: { project: ProjectSummary; current: boolean; onOpen: () => void }) {
  const actions = useActions();
  const [asking, setAsking] = useState(false);
  const name = project.name || texts.projects.untitled;
  return (
    <li class={`row${current ? ' current' : ''}`} data-testid="project-row" data-name={name}>
      <button type="button" class="row-main" disabled={current || !!project.problem} onClick={onOpen}>
        <b>{name}</b>
        <small>
          {project.problem ?? texts.projects.about(project.classes, project.samples)}
          {' · '}
          {current ? texts.projects.current : new Date(project.savedAt).toLocaleDateString('en', { day: 'numeric', month: 'short', year: 'numeric' })}
        </small>
      </button>
      {asking ? (
        <>
          <Button look="danger" testId="delete-project-sure" onClick={() => void actions.deleteProject(project.id)}>
            {texts.projects.sure}
          </Button>
          <Button look="quiet" ref={(button) => button?.focus()} onClick={() => setAsking(false)}>
            {texts.projects.keep}
          </Button>
        </>
      ) : (
        <Button icon="trash" look="quiet" label={texts.projects.remove(name)} testId="delete-project" onClick={() => setAsking(true)} />
      )}
    </li>
  );
}
