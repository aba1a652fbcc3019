/** What was dropped, chosen or pasted. A path has a folder in it where the file came out of one. */
export interface Dropped {
  readonly path: string;
  readonly file: File;
}

const samplesType = 'application/x-lowshot-samples';

/** Reads dropped files and, however deep, folders. It must be called before the event's handler returns. */
export async function readDrop(data: DataTransfer): Promise<Dropped[]> {
  const found: Dropped[] = [];
  const entries: FileSystemEntry[] = [];
  for (const item of data.items) {
    if (item.kind !== 'file') continue;
    const entry = item.webkitGetAsEntry?.();
    const file = entry ? null : item.getAsFile();
    if (entry) entries.push(entry);
    else if (file) found.push({ path: file.name, file });
  }
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry: FileSystemEntry, found: Dropped[]): Promise<void> {
  if (entry.name.startsWith('.')) return; // .DS_Store and the like
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ''), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A reader gives about a hundred entries at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const inside of some) await walk(inside, found);
  }
}

export function chosenFolder(files: readonly File[]): Dropped[] {
  return files.filter((file) => !file.name.startsWith('.')).map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** What files are, by their names. Whether a picture can be read is found out by reading it. */
export function kindOf(files: readonly File[]): 'project' | 'adapter' | 'model' | 'photos' {
  const names = files.map((file) => file.name.toLowerCase());
  if (names.length === 1 && /\.(lowshot|zip)$/.test(names[0] ?? '')) return 'project';
  const weights = files.filter((file) => /\.safetensors$/i.test(file.name));
  if (!weights.length) return 'photos';
  const adapterAtMost = 60e6; // the smallest CLIP's weights are larger than any adapter
  return files.length === 1 && (weights[0]?.size ?? 0) < adapterAtMost ? 'adapter' : 'model';
}

export function hasFiles(data: DataTransfer | null): boolean {
  return !!data && [...data.types].includes('Files');
}

/** Photos of the page itself that are dragged from class to class. */
export function dragSamples(data: DataTransfer, ids: readonly string[]): void {
  data.setData(samplesType, JSON.stringify(ids));
  data.effectAllowed = 'copyMove';
}

export function hasSamples(data: DataTransfer | null): boolean {
  return !!data && [...data.types].includes(samplesType);
}

export function draggedSamples(data: DataTransfer): string[] {
  const text = data.getData(samplesType);
  return text ? (JSON.parse(text) as string[]) : [];
}

export function pastedFiles(data: DataTransfer | null): File[] {
  return [...(data?.files ?? [])];
}
