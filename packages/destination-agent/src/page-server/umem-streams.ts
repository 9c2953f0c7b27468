import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';
import { fromServiceError, UmemState, type Umem, type UmemdCommand, type VmmCommand } from '@umem/api';
import { PeerUnavailable } from '@umem/errors';
import type { PageServer } from './page-server.js';

/** What the two streams of a umem set report. Each is called in the order of arrival. */
export interface UmemListener {
  /** State and statistics: at once, on each change, and several times a second. */
  onUmem(umem: Umem): void;
  /** READY: the state that the set had when it was sent. */
  onReady(state: UmemState): void;
  /** QUIT: every page is there and the memory is plain. */
  onQuit(): void;
  /** TRIGGER_PAGE_FAULT: these pages are placed and shall be present in the VMM's page tables. */
  onTouch(blockId: string, pgoffs: readonly number[]): void;
  /** ERROR: these pages never come. */
  onLoss(message: string, missingPages: bigint): void;
  /** A stream broke; called once, and nothing after it. Not called after `close` or a QUIT. */
  onBroken(error: Error): void;
}

/** The Control stream and the WatchUmem stream of one umem set, as one thing that stands or falls. */
export class UmemStreams {
  readonly #name: string;
  readonly #control: ClientDuplexStream<VmmCommand, UmemdCommand>;
  readonly #watch: ClientReadableStream<Umem>;
  #open = true;

  constructor(server: PageServer, name: string, listener: UmemListener) {
    this.#name = name;
    this.#control = server.control();
    this.#watch = server.watch(name);
    const broken = (error: unknown): void => {
      if (!this.#open) return;
      this.close();
      const known = fromServiceError(error, server.peer);
      listener.onBroken(known instanceof Error ? known : new PeerUnavailable(String(known)));
    };
    const ended = (): void =>
      broken(new PeerUnavailable(`${server.peer} ended the control stream of umem set "${name}"`));

    this.#control.on('data', ({ command }: UmemdCommand) => {
      if (!this.#open) return;
      if (command?.$case === 'ready') listener.onReady(command.value.state);
      if (command?.$case === 'error') listener.onLoss(command.value.message, command.value.missingPages);
      if (command?.$case === 'triggerPageFault')
        listener.onTouch(command.value.blockId, command.value.pgoffs);
      if (command?.$case === 'quit') listener.onQuit();
    });
    this.#control.on('error', broken);
    // After QUIT both sides end the stream; before it nobody should.
    this.#control.on('end', () => {
      if (!this.#control.writableEnded) ended();
    });
    this.#watch.on('data', (umem: Umem) => {
      if (this.#open) listener.onUmem(umem);
    });
    // Its ordinary end comes with the set's last state, which `onUmem` has reported.
    this.#watch.on('error', broken);
    this.#control.write({ umem: name, command: { $case: 'attach', value: {} } });
  }

  /** READY: device state is about to be loaded, so faults may be answered. */
  ready(): void {
    this.#control.write({
      umem: this.#name,
      command: { $case: 'ready', value: { state: UmemState.UNSPECIFIED } },
    });
  }

  /** PAGE_FAULTED or PAGE_UNMAPPED: what became of pages that were to be touched. */
  touched(command: 'pageFaulted' | 'pageUnmapped', blockId: string, pgoffs: readonly number[]): void {
    if (pgoffs.length === 0 || !this.#open || this.#control.writableEnded) return;
    const value = { blockId, pgoffs: [...pgoffs] };
    this.#control.write({ umem: this.#name, command: { $case: command, value } });
  }

  /** QUIT: agrees to the page server's, or says that the VMM has gone. The watch goes on. */
  quit(): void {
    this.#control.write({ umem: this.#name, command: { $case: 'quit', value: {} } });
    this.#control.end();
  }

  /** Breaks both streams off. Idempotent. */
  close(): void {
    this.#open = false;
    this.#control.cancel();
    this.#watch.cancel();
  }
}
