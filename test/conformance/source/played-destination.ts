import {
  status as Status,
  type sendUnaryData,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { LaneTargetMessage, RamBlockMessage } from '../wire/messages.js';
import { WireServer } from '../wire/server.js';
import { Gate } from './gate.js';

/** What the source says in ConnectIncoming. */
export interface ConnectOrder {
  readonly name: string;
  readonly target: LaneTargetMessage;
  readonly blocks: readonly RamBlockMessage[];
  readonly confirm_placed: boolean;
}

/** What the source says of placing, in Preflight (without flags) and in PrepareIncoming. */
export interface PlacingOrder {
  readonly placement: string;
  readonly postcopy_flags?: number;
}

/** What all requests but the streamed one have. */
interface Request {
  readonly name: string;
}
type PrepareRequest = Request & PlacingOrder & { readonly blocks: readonly RamBlockMessage[] };
type AbortRequest = Request & { readonly reason: string };
type Answer = sendUnaryData<object>;

/** One migration as its destination sees it: each step waits at its gate. */
export class IncomingScript {
  readonly connect = new Gate();
  readonly load = new Gate();
  readonly resume = new Gate();
  /** Resolves with the reason when the source has called AbortIncoming. */
  readonly aborted: Promise<string>;
  order: ConnectOrder | null = null;
  preflight: PlacingOrder | null = null;
  prepare: PlacingOrder | null = null;
  deviceStateBytes = 0;
  resumeCalls = 0;
  /** Null: there is no such incoming VM. */
  state: string | null = null;
  onAborted: (reason: string) => void = () => {};
  readonly watchers = new Set<() => void>();

  constructor() {
    this.aborted = new Promise((resolve) => (this.onAborted = resolve));
  }

  enter(state: string | null): void {
    this.state = state;
    for (const tell of [...this.watchers]) tell();
  }
}

/** How often WatchIncoming says where things stand, in milliseconds. */
const WATCH_INTERVAL_MS = 200;

/** A destination-agent without a VMM: it lets the suite decide when the source may go on. */
export class PlayedDestination {
  readonly address: string;
  readonly #server: WireServer;
  /** By the VM's name. */
  readonly #scripts: Map<string, IncomingScript>;

  private constructor(server: WireServer, scripts: Map<string, IncomingScript>) {
    this.#server = server;
    this.#scripts = scripts;
    this.address = server.address;
  }

  static async start(listen: string): Promise<PlayedDestination> {
    const scripts = new Map<string, IncomingScript>();
    const script = (name: string): IncomingScript => scripts.get(name) ?? new IncomingScript();
    return new PlayedDestination(
      await WireServer.start('IncomingService', createService(script), listen),
      scripts,
    );
  }

  /** Where the VM's next migration is played; nothing of the one before is known any more. */
  begin(vm: string): IncomingScript {
    const script = new IncomingScript();
    this.#scripts.set(vm, script);
    return script;
  }

  stop(): void {
    this.#server.kill();
  }
}

function createService(script: (name: string) => IncomingScript): UntypedServiceImplementation {
  const unary =
    <Asked extends Request>(handle: (request: Asked, script: IncomingScript) => Promise<object> | object) =>
    (call: ServerUnaryCall<Asked, object>, answer: Answer): void => {
      const current = script(call.request.name);
      Promise.resolve()
        .then(() => handle(call.request, current))
        .then(
          (message) => answer(null, message),
          (error: unknown) => answer(toStatus(error)),
        );
    };
  return {
    Preflight: unary((request: Request & PlacingOrder, current) => {
      current.preflight = request;
      return { checks: [{ check: 'conformance', passed: true, finding: 'played by the suite' }] };
    }),
    PrepareIncoming: unary((request: PrepareRequest, current) => {
      const { name, blocks } = request;
      current.prepare = request;
      current.enter('INCOMING_STATE_PREPARED');
      return {
        ...incoming(name, current),
        ram: blocks.map((block) => ({ block, path: '/nowhere' })),
      };
    }),
    GetIncoming: unary(({ name }: Request, current) => incoming(name, current)),
    ConnectIncoming: unary(async (request: ConnectOrder, current) => {
      current.order = request;
      await current.connect.wait();
      current.enter('INCOMING_STATE_CONNECTED');
      return incoming(request.name, current);
    }),
    LoadDeviceState: (
      call: ServerReadableStream<{ name: string; data: Buffer }, object>,
      answer: Answer,
    ): void => {
      let name = '';
      let current = new IncomingScript();
      call.on('data', (chunk: { name: string; data: Buffer }) => {
        if (name === '') {
          name = chunk.name;
          current = script(name);
          current.enter('INCOMING_STATE_LOADING');
        }
        current.deviceStateBytes += chunk.data.length;
      });
      call.on('end', () => {
        current.load.wait().then(
          () => {
            current.enter('INCOMING_STATE_LOADED');
            answer(null, incoming(name, current));
          },
          (error: unknown) => answer(toStatus(error)),
        );
      });
    },
    ResumeIncoming: unary(async ({ name }: Request, current) => {
      current.resumeCalls++;
      await current.resume.wait();
      if (current.state !== 'INCOMING_STATE_COMPLETED') current.enter('INCOMING_STATE_RESUMED');
      return incoming(name, current);
    }),
    AbortIncoming: unary(({ reason }: AbortRequest, current) => {
      current.enter(null);
      current.onAborted(reason);
      return {};
    }),
    ForgetIncoming: unary(() => ({})),
    ListIncomings: unary(() => ({ incomings: [] })),
    WatchIncoming: (call: ServerWritableStream<Request, object>): void =>
      watch(call, script(call.request.name)),
  };
}

function watch(call: ServerWritableStream<Request, object>, script: IncomingScript): void {
  const tell = (): void => {
    if (script.state === null) {
      stop();
      call.emit('error', toStatus(notFound()));
      return;
    }
    call.write(incoming(call.request.name, script));
    if (script.state !== 'INCOMING_STATE_COMPLETED') return;
    stop();
    call.end();
  };
  const timer = setInterval(tell, WATCH_INTERVAL_MS);
  const stop = (): void => {
    clearInterval(timer);
    script.watchers.delete(tell);
  };
  script.watchers.add(tell);
  call.on('cancelled', stop);
  tell();
}

function incoming(name: string, { state, order }: IncomingScript): object {
  if (state === null) throw notFound();
  const armed = ['INCOMING_STATE_LOADING', 'INCOMING_STATE_LOADED', 'INCOMING_STATE_RESUMED'].includes(state);
  return {
    name,
    state,
    migration_id: order?.target.migration_id ?? '',
    umem_state: armed ? 'UMEM_STATE_ARMED' : 'UMEM_STATE_HANDED_OFF',
    resumed_at_unix_us: state === 'INCOMING_STATE_RESUMED' ? `${Date.now()}000` : '0',
  };
}

function notFound(): Error {
  return Object.assign(new Error('There is no such incoming VM'), { code: Status.NOT_FOUND });
}

function toStatus(error: unknown): Error & { code: Status; details: string } {
  const { code } = error as { code?: unknown };
  const details = error instanceof Error ? error.message : String(error);
  return Object.assign(new Error(details), {
    code: typeof code === 'number' ? code : Status.UNKNOWN,
    details,
  });
}
