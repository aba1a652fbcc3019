/** What the tests use of Node, so that its types, which the page must not see, need not be installed. */

declare module 'node:http' {
  export interface IncomingMessage {
    readonly url?: string;
    readonly headers: Readonly<Record<string, string | undefined>>;
  }
  export interface ServerResponse {
    readonly socket: { destroy(): void } | null;
    writeHead(status: number, headers?: Readonly<Record<string, string | number>>): void;
    write(bytes: Uint8Array, written?: () => void): boolean;
    end(bytes?: Uint8Array | string): void;
    flushHeaders(): void;
    on(event: 'close', listener: () => void): void;
  }
  export interface Server {
    listen(port: number, host: string, listening: () => void): void;
    address(): { readonly port: number };
    close(closed?: () => void): void;
    closeAllConnections(): void;
  }
  export function createServer(answer: (request: IncomingMessage, response: ServerResponse) => void): Server;
}

declare module 'node:buffer' {
  export const Buffer: { compare(a: Uint8Array, b: Uint8Array): number };
}

declare module 'node:fs' {
  export function readFileSync(file: string | URL): Uint8Array<ArrayBuffer>;
  export function readFileSync(file: string | URL, encoding: 'utf8'): string;
  export function writeFileSync(file: string, text: string): void;
  export function mkdirSync(folder: string, options: { readonly recursive: true }): void;
  export function mkdtempSync(prefix: string): string;
  export function rmSync(folder: string, options: { readonly recursive: true }): void;
}

declare module 'node:os' {
  export function tmpdir(): string;
}

declare module 'node:crypto' {
  export function createHash(name: 'sha256'): { update(bytes: Uint8Array): { digest(encoding: 'hex'): string } };
}
