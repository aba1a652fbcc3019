export function filesRead(rule: string, root: string): string[];
export function fingerprint(root: string, files: readonly string[], ...more: readonly unknown[]): string;
