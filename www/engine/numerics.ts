/** What a model's features depend on beside its file. */
import type { Info } from './protocol.ts';

/** What is computed in, and how weights are rounded on the processor where they are. Features of two kinds are not learnt from together. */
export const NUMERICS = ['f32', 'f16', 'f16 weights', 'int8 weights'] as const;

export type Numerics = (typeof NUMERICS)[number];

export function numericsOf({ precision, weights }: Pick<Info, 'precision' | 'weights'>): Numerics {
  return weights === 'f16' || weights === 'int8' ? `${weights} weights` : precision;
}
