/** A project as it is stored and as it lies in a project file: JSON, checked when it is read, since it may come from elsewhere. */
import { LowshotError } from '../engine/error.ts';
import type { ClassCard, Id, Project, Training } from './state.ts';

export const SCHEMA = 1;
export const COLOURS = 12;
const MOST_CLASSES = 1000;

export type SampleSet = 'eurosat' | 'photos';

/** A training as it is stored: its state, and what it was of. */
export interface TrainingRecord extends Omit<Training, 'curve' | 'stale'> {
  /** The photos that were learnt from, in order. */
  readonly samples: readonly Id[];
  /** The classes' names then. */
  readonly names: readonly string[];
  readonly templates: readonly string[];
  readonly modelSha256: string;
}

export interface ProjectRecord {
  readonly schema: typeof SCHEMA;
  readonly id: Id;
  readonly name: string;
  readonly templates: readonly string[];
  readonly classes: readonly ClassCard[];
  readonly savedAt: number;
  /** The model's name. */
  readonly model: string;
  readonly sample?: SampleSet;
  readonly training?: TrainingRecord;
}

export function recordOf(project: Project, rest: Pick<ProjectRecord, 'model' | 'sample' | 'training'>): ProjectRecord {
  const { id, name, templates, classes, savedAt } = project;
  return { schema: SCHEMA, id, name, templates, classes, savedAt, ...rest };
}

/** Reads a project; `place` names it in messages. */
export function parseRecord(json: string, place: string): ProjectRecord {
  const refuse = (why: string): never => {
    throw new LowshotError('data', `${place}: ${why}`);
  };
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return refuse('it is damaged (its project.json is no JSON)');
  }
  const project = value as Partial<ProjectRecord>;
  if (typeof project !== 'object' || project === null || !('schema' in project)) return refuse('it is no lowshot project');
  if (project.schema !== SCHEMA) return refuse(`it was made by another version (${String(project.schema)}): reload the page to get the newest`);
  if (typeof project.name !== 'string' || typeof project.id !== 'string') return refuse('its project.json has no name');
  const templates = project.templates ?? [];
  if (!Array.isArray(templates) || templates.some((template) => !isTemplate(template))) return refuse('its templates are damaged');
  if (!Array.isArray(project.classes) || project.classes.length > MOST_CLASSES) return refuse('its classes are damaged');
  const seen = new Set<Id>();
  const classes = project.classes.map((card: Partial<ClassCard>, index): ClassCard => {
    if (typeof card?.id !== 'string' || typeof card.name !== 'string' || !Array.isArray(card.samples)) return refuse(`class ${index + 1} is damaged`);
    const samples = card.samples.map(({ id, name, width, height }) => {
      if (typeof id !== 'string' || !/^[a-z0-9]+$/.test(id) || seen.has(id)) return refuse(`a photo of ${card.name} is damaged`);
      seen.add(id);
      return { id, name: String(name), width: Number(width) || 0, height: Number(height) || 0, state: 'waiting' as const };
    });
    const colour = Number.isSafeInteger(card.colour) ? Math.abs(card.colour ?? 0) % COLOURS : index % COLOURS;
    return { id: card.id, name: card.name, colour, enabled: card.enabled !== false, samples };
  });
  const training = isTraining(project.training) ? { training: project.training } : {};
  const sample = project.sample === 'eurosat' || project.sample === 'photos' ? { sample: project.sample } : {};
  return {
    schema: SCHEMA,
    id: project.id,
    name: project.name,
    templates,
    classes,
    savedAt: Number(project.savedAt) || Date.now(),
    model: typeof project.model === 'string' ? project.model : 'demo',
    ...sample,
    ...training,
  };
}

/** A sentence with one `{}` in it. */
export function isTemplate(template: unknown): template is string {
  return typeof template === 'string' && template.split('{}').length === 2;
}

/** What is not a training is left away: it can be done again. */
function isTraining(value: unknown): value is TrainingRecord {
  const training = value as Partial<TrainingRecord> | undefined;
  const lists = [training?.classes, training?.names, training?.samples, training?.templates, training?.ladder];
  return typeof training?.modelSha256 === 'string' && typeof training.status === 'string' && lists.every(Array.isArray);
}
