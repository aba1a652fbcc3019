/** A project as it is stored and as it lies in a project file: JSON, checked when it is read, since it may come from elsewhere. */
import { LowshotError } from '../engine/error.ts';
import type { Numerics } from '../engine/numerics.ts';
import type { ClassCard, Id, Project, Sample, Training } from './state.ts';
import { isTraining } from './training-record.ts';

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
  /** Of the photos' features; "f32" where it is not said. */
  readonly numerics?: Numerics;
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
  if (project.schema !== SCHEMA) return refuse('it was made by another version: reload the page to get the newest');
  if (typeof project.name !== 'string' || typeof project.id !== 'string') return refuse('its project.json has no name');
  const templates = project.templates ?? [];
  if (!Array.isArray(templates) || templates.some((template) => !isTemplate(template))) return refuse('its templates are damaged');
  if (!Array.isArray(project.classes) || project.classes.length > MOST_CLASSES) return refuse('its classes are damaged');
  const seen = new Set<unknown>();
  /** Whether it can be a name of ours, and nothing else has it. */
  const isNew = (id: unknown): id is Id => typeof id === 'string' && /^[a-z0-9]+$/.test(id) && !seen.has(id) && Boolean(seen.add(id));
  const classes = project.classes.map((card: Partial<ClassCard> | null, index): ClassCard => {
    if (!isNew(card?.id) || typeof card?.name !== 'string' || !Array.isArray(card.samples)) return refuse(`class ${index + 1} is damaged`);
    const samples = card.samples.map((sample: Partial<Sample> | null, at): Sample => {
      if (!isNew(sample?.id) || typeof sample?.name !== 'string') return refuse(`photo ${at + 1} of class ${index + 1} is damaged`);
      return { id: sample.id, name: sample.name, width: numberOf(sample.width), height: numberOf(sample.height), state: 'waiting' };
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
    savedAt: numberOf(project.savedAt) || Date.now(),
    model: typeof project.model === 'string' ? project.model : 'demo',
    ...sample,
    ...training,
  };
}

/** A sentence with one `{}` in it. */
export function isTemplate(template: unknown): template is string {
  return typeof template === 'string' && template.split('{}').length === 2;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
