const plain = new Intl.NumberFormat('en');
/** No line break between a number and its unit. */
const gap = '\u202f';

export function count(n: number): string {
  return plain.format(n);
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Of a fraction; what is nearly but not wholly all is not rounded to all. */
export function percent(fraction: number): string {
  const rounded = Math.round(100 * fraction);
  if (rounded === 100 && fraction < 1) return `>${gap}99${gap}%`;
  return `${rounded}${gap}%`;
}

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = n / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}${gap}${units[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 0.1) return `${Math.max(1, Math.round(1000 * seconds))}${gap}ms`;
  if (seconds < 10) return `${seconds.toFixed(1)}${gap}s`;
  if (seconds < 90) return `${Math.round(seconds)}${gap}s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}${gap}min`;
  return `${(seconds / 3600).toFixed(1)}${gap}h`;
}

export function loss(value: number): string {
  return value < 0.01 ? value.toExponential(1) : value.toFixed(value < 1 ? 3 : 2);
}

const colours = 12;

/** A class's colour as CSS, which knows the scheme. */
export function classColour(index: number): string {
  return `var(--class-${((index % colours) + colours) % colours})`;
}
