import {
  native,
  preloadLibraryPath,
  type NativeUnixConnection,
  type NativeUnixListener,
} from '../../ts/index.js';

/** One handoff message as it came: a region and the descriptors beside it. */
export interface Handoff {
  region: Record<string, unknown>;
  fds: number[];
  connection: NativeUnixConnection;
}

/** Listens as a page server does, and gives each complete handoff to a test, which answers it. */
export class HandoffServer {
  readonly closed: (Error | null)[] = [];
  private readonly listener: NativeUnixListener;
  private readonly handoffs: Handoff[] = [];
  private wanted: ((handoff: Handoff) => void) | null = null;

  constructor(readonly path: string) {
    this.listener = native.listenUnix(
      path,
      0o666, // some guests run as another user
      (connection) => this.read(connection),
      (error) => {
        throw error;
      },
    );
  }

  next(): Promise<Handoff> {
    return new Promise((resolve) => {
      this.wanted = resolve;
      this.deliver();
    });
  }

  /** Messages that came and were not taken. */
  get waiting(): number {
    return this.handoffs.length;
  }

  close(): void {
    this.listener.close();
    for (const handoff of this.handoffs) closeAll(handoff.fds);
  }

  private read(connection: NativeUnixConnection): void {
    let text = '';
    const fds: number[] = [];
    connection.start(
      (bytes, received) => {
        text += bytes.toString();
        fds.push(...received);
        if (!text.endsWith(']')) return;
        this.handoffs.push({ region: toRegion(text), fds, connection });
        this.deliver();
      },
      (error) => {
        this.closed.push(error);
        connection.close();
      },
    );
  }

  private deliver(): void {
    const handoff = this.wanted === null ? undefined : this.handoffs.shift();
    if (handoff === undefined) return;
    this.wanted?.(handoff);
    this.wanted = null;
  }
}

function toRegion(text: string): Record<string, unknown> {
  const message: unknown = JSON.parse(text);
  const regions: unknown[] = Array.isArray(message) ? message : [];
  const [region] = regions;
  if (regions.length !== 1 || typeof region !== 'object' || region === null) {
    throw new Error(`Not one region: ${text}`);
  }
  return Object.fromEntries(Object.entries(region));
}

/** What a VMM needs in its environment to hand over `ram` at `socket`. */
export function handoffEnvironment(ram: string, socket: string) {
  return { LD_PRELOAD: preloadLibraryPath(), UMEM_RAM: ram, UMEM_HANDOFF: socket };
}

export function answerReady(handoff: Handoff): void {
  handoff.connection.write(Buffer.from('READY\n'));
}

export function closeAll(fds: number[]): void {
  fds.forEach((fd) => native.closeFd(fd));
}
