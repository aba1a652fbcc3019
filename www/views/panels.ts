import { signal } from '@preact/signals';

/** The sheet that lies over the page. It is opened from several places, and is no part of the project's state. */
export const panel = signal<'models' | 'projects' | undefined>(undefined);

export function openModels(): void {
  panel.value = 'models';
}

export function openProjects(): void {
  panel.value = 'projects';
}

export function closePanel(): void {
  panel.value = undefined;
}
