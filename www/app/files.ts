/** What leaves the page as a file, and comes back as one: projects, adapters, results. */
import type { Engine } from '../engine/engine.ts';
import type { Store } from '../store/store.ts';
import type { Container } from './container.ts';
import { download, fileName, resultsTable } from './export.ts';
import type { Learning } from './learning.ts';
import type { Models } from './models.ts';
import type { Notices } from './notices.ts';
import type { Photos } from './photos.ts';
import { readProject, writeProject } from './project-file.ts';
import type { Projects } from './projects.ts';
import type { ProjectRecord } from './record.ts';

export class Files {
  constructor(
    private readonly container: Container,
    private readonly store: Store,
    private readonly engine: Engine,
    private readonly photos: Photos,
    private readonly projects: Projects,
    private readonly models: Models,
    private readonly learning: Learning,
    private readonly notices: Notices,
    /** Shows a project, and what it has learnt. */
    private readonly show: (record: ProjectRecord) => Promise<void>,
  ) {}

  async saveProject(): Promise<void> {
    const record = this.projects.record();
    const keys = await this.store.keys('learnt', record.id);
    const learnt = await Promise.all(keys.map((key) => this.store.get('learnt', key)));
    const blob = await writeProject(record, (id) => this.photos.photo(id), learnt.flatMap((one) => one ?? []));
    download(blob, fileName(record.name, 'lowshot.zip'));
  }

  async openProject(file: File): Promise<void> {
    const { record, photos, learnt } = await readProject(file);
    await this.learning.stop();
    const info = await this.models.ready();
    const failed = await this.photos.adopt(record, photos, info);
    await this.store.put('learnt', learnt.map((one) => ({ ...one, key: `${record.id}\n${one.method}`, project: record.id })));
    const classes = record.classes.map((card) => ({ ...card, samples: card.samples.filter(({ id }) => !failed.has(id)) }));
    await this.show({ ...record, classes });
    await this.projects.flush();
    this.notices.good(`${record.name} is open.`);
  }

  async exportAdapter(): Promise<void> {
    const bytes = await this.engine.exportAdapter(this.learning.templates);
    download(new Blob([bytes]), fileName(this.container.state.project.name, 'safetensors'));
  }

  async importAdapter(file: File): Promise<void> {
    const bytes = new Uint8Array(await file.arrayBuffer());
    await this.models.ready();
    const { method, classes } = await this.learning.alone(async () => {
      const { method, classes, templates, kept } = await this.engine.importAdapter(file.name, bytes);
      await this.projects.show(this.projects.empty(file.name.replace(/\.safetensors$/, ''), { templates }));
      const cards = classes.map((name) => ({ id: this.projects.addClass(name), name }));
      await this.learning.adopt({ method, ...kept }, cards, templates);
      return { method, classes };
    });
    this.notices.good(`${file.name} answers now: ${method}, ${classes.length} classes.`);
  }

  async exportResults(): Promise<void> {
    const { state } = this.container;
    download(resultsTable(state), fileName(state.project.name, 'csv'));
  }
}
