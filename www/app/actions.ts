import type { Answer, Attention, Id, Looked, Method, Settings, State } from './state';

/** Everything that a view can ask for. What goes wrong becomes a notice; promises resolve when it is done, and never reject. */
export interface Actions {
  // classes
  addClass(name?: string): Id;
  renameClass(id: Id, name: string): void;
  toggleClass(id: Id): void;
  deleteClass(id: Id): void;
  // photos
  addPhotos(classId: Id, photos: readonly (File | Blob)[]): Promise<void>;
  /** Folders: one class a folder, named by it; loose files go to `classId` or a new class. */
  addFolders(items: readonly { readonly path: string; readonly file: File }[], classId?: Id): Promise<void>;
  deleteSamples(ids: readonly Id[]): void;
  moveSamples(ids: readonly Id[], classId: Id): void;
  undo(): void;
  redo(): void;
  /** Object URL of a thumbnail; give it back by `releaseThumbnail` when it is out of sight. */
  thumbnail(id: Id): Promise<string>;
  releaseThumbnail(id: Id): void;
  /** The photo as it was added. */
  photo(id: Id): Promise<Blob | undefined>;
  // learning
  train(): Promise<void>;
  pause(): void;
  resume(): void;
  /** Keeps what is done. */
  stop(): void;
  use(method: Method): Promise<void>;
  /** A rung that was skipped for being long. */
  runRung(method: Method): Promise<void>;
  // using
  classify(photo: Blob | ImageData, signal?: AbortSignal): Promise<Answer | undefined>;
  /** With other class names than the project's, by text alone. */
  classifyByText(photo: Blob, names: readonly string[]): Promise<Answer | undefined>;
  /** One of many pictures, by the project's classes or by names: what goes wrong is given, and no notice. */
  look(photo: Blob, names?: readonly string[]): Promise<Looked>;
  attention(photo: Blob | ImageData): Promise<Attention | undefined>;
  // project
  newProject(): Promise<void>;
  openSample(which: 'eurosat' | 'photos'): Promise<void>;
  openProject(id: Id): Promise<void>;
  renameProject(name: string): void;
  /** How texts are made of a class's name, `{}` standing for it; an empty list means the model's own. */
  changeTemplates(templates: readonly string[]): void;
  deleteProject(id: Id): Promise<void>;
  saveProjectFile(): Promise<void>;
  openProjectFile(file: File): Promise<void>;
  exportAdapter(): Promise<void>;
  importAdapter(file: File): Promise<void>;
  exportResults(): Promise<void>;
  // model
  useModel(name: string): Promise<void>;
  /** Files of a model, dropped: safetensors, config and so on. */
  useModelFiles(files: readonly File[]): Promise<void>;
  /** Of a model that is being fetched or loaded. */
  cancelModel(): void;
  forgetModel(name: string): Promise<void>;
  /** Where and how the model computes; it is loaded anew. */
  compute(how: Partial<Pick<Settings, 'device' | 'precision' | 'weights'>>): Promise<void>;
  changeSettings(settings: Partial<Settings>): void;
  /** All projects, photos, models and settings that this browser has stored; the page begins anew. */
  forgetEverything(): Promise<void>;
  dismiss(notice: Id): void;
}

/** The page's only source of truth. */
export interface App {
  readonly actions: Actions;
  get state(): State;
  /** Calls `listener` after every change; gives what ends that. */
  subscribe(listener: () => void): () => void;
}
