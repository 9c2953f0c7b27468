import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import { pageKey, type PageKey } from '../source/lane.js';
import type { WireClient } from '../wire/client.js';
import type { UmemdCommandMessage } from '../wire/messages.js';
import { Changes } from './changes.js';

/** The VMM side of a umem set, played by the suite. */
export class Control {
  /** What umemd has said, in order. */
  readonly told: UmemdCommandMessage[] = [];
  readonly ended: Promise<StatusObject>;
  /** Called with every command, when it has come. */
  onCommand: (command: UmemdCommandMessage) => void = () => {};
  readonly #changes = new Changes();
  readonly #stream: ClientDuplexStream<object | Buffer, UmemdCommandMessage>;
  #status: StatusObject | null = null;

  constructor(client: WireClient) {
    this.#stream = client.stream<UmemdCommandMessage>('Umemd', 'Control');
    this.#stream.on('data', (command: UmemdCommandMessage) => {
      this.told.push(command);
      this.onCommand(command);
      this.#changes.tell();
    });
    this.#stream.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.#stream.on('status', (status) => {
        this.#status = status;
        resolve(status);
        this.#changes.tell();
      });
    });
  }

  /** Sends a VmmCommand, or bytes in its place. */
  send(command: object | Buffer): void {
    this.#stream.write(command);
  }

  /** The READY that names this state. */
  async ready(state: string): Promise<void> {
    await this.hear(`READY ${state}`, ({ ready }) => ready?.state === state);
  }

  /** The first command, at or after `from`, that is as wanted. */
  hear(
    what: string,
    accepts: (command: UmemdCommandMessage) => boolean,
    from = 0,
  ): Promise<UmemdCommandMessage> {
    return this.#changes.until(what, () => {
      const found = this.told.slice(from).find(accepts);
      if (found !== undefined) return found;
      if (this.#status !== null)
        throw new Error(`Control ended before ${what}: ${this.#status.code} ${this.#status.details}`);
      return null;
    });
  }

  /** Pages of every TRIGGER_PAGE_FAULT so far, in order. */
  get triggered(): PageKey[] {
    return this.told.flatMap(({ trigger_page_fault: pages }) =>
      (pages?.pgoffs ?? []).map((pgoff) => pageKey(pages?.block_id ?? '', pgoff)),
    );
  }

  /** Ends the stream without a word. */
  hangUp(): void {
    this.#stream.cancel();
  }
}
