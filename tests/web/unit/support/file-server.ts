/** A server of files that fails in the ways that servers and networks do. */
import { type Server, type ServerResponse, createServer } from 'node:http';

/** How a request is answered, where it is not answered as it should be. */
export interface Misbehaviour {
  /** Nothing but this status. */
  readonly status?: number;
  /** The whole file, whatever was asked for. */
  readonly ignoresRange?: boolean;
  /** The connection breaks after so many bytes. */
  readonly cutAfter?: number;
  /** Nothing comes after so many bytes, and the connection stays open. */
  readonly stallsAfter?: number;
  /** The byte at this place of the file is another. */
  readonly corruptAt?: number;
  /** It says and sends only so many bytes. */
  readonly shortened?: number;
}

export class FileServer {
  /** The Range header of every request, in order; nothing where there was none. */
  readonly ranges: (string | undefined)[] = [];
  readonly paths: string[] = [];
  /** How the next requests are answered, one each; those after them well. */
  readonly misbehaviours: Misbehaviour[] = [];
  /** How those are that have none of their own. */
  always: Misbehaviour = {};
  /** Connections that were closed before the answer was whole. */
  abandoned = 0;

  /** It stays the same when the server has been stopped. */
  address = '';

  private constructor(
    private readonly server: Server,
    private readonly files: ReadonlyMap<string, Uint8Array>,
  ) {}

  static async start(files: Readonly<Record<string, Uint8Array>>): Promise<FileServer> {
    const server = createServer((request, response) => made.answer(request.url ?? '', request.headers['range'], response));
    const made = new FileServer(server, new Map(Object.entries(files)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    made.address = `http://127.0.0.1:${server.address().port}`;
    return made;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(resolve));
  }

  private answer(path: string, range: string | undefined, response: ServerResponse): void {
    this.paths.push(path);
    this.ranges.push(range);
    const how = this.misbehaviours.shift() ?? this.always;
    const file = this.files.get(path);
    const status = how.status ?? (file ? 200 : 404);
    if (!file || status !== 200) {
      response.writeHead(status);
      response.end(`the server says ${status}`);
      return;
    }
    const asked = how.ignoresRange ? undefined : /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
    const [start, end] = asked ? [Number(asked[1]), Number(asked[2]) + 1] : [0, how.shortened ?? file.length];
    const bytes = file.slice(start, end);
    if (how.corruptAt !== undefined && how.corruptAt >= start && how.corruptAt < end) bytes[how.corruptAt - start] = ~(bytes[how.corruptAt - start] ?? 0);
    response.writeHead(asked ? 206 : 200, {
      'content-length': bytes.length,
      ...(asked ? { 'content-range': `bytes ${start}-${end - 1}/${file.length}` } : {}),
    });
    let whole = false;
    response.on('close', () => (this.abandoned += whole ? 0 : 1));
    if (how.cutAfter !== undefined) response.write(bytes.subarray(0, how.cutAfter), () => response.socket?.destroy());
    else if (how.stallsAfter !== undefined) response.write(bytes.subarray(0, how.stallsAfter));
    else {
      whole = true;
      response.end(bytes);
    }
  }
}
