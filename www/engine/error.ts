import type { ErrorKind, Failure } from './protocol.ts';

/** Anything that goes wrong, in one line that says what to do. */
export class LowshotError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string) {
    super(message);
    this.name = 'LowshotError';
    this.kind = kind;
  }

  /** Whatever was thrown. */
  static from(thrown: unknown, kind: ErrorKind = 'failed'): LowshotError {
    if (thrown instanceof LowshotError) return thrown;
    if (thrown instanceof DOMException && thrown.name === 'AbortError') return new LowshotError('cancelled', 'cancelled');
    if (thrown instanceof Error) {
      const told = (thrown as Error & { kind?: ErrorKind }).kind;
      return new LowshotError(told ?? kind, thrown.message);
    }
    return new LowshotError(kind, String(thrown));
  }

  get failure(): Failure {
    return { message: this.message, kind: this.kind };
  }
}

/** Whether whoever asked has changed their mind. */
export function check(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new LowshotError('cancelled', 'cancelled');
}
