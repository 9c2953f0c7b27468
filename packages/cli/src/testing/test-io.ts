import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import type { CliIo } from '../io.js';

/** A stream that remembers what was written and lets a test wait for it. */
export class Capture extends Writable {
  text = '';
  readonly #written = new EventEmitter();

  constructor(
    readonly isTTY = false,
    readonly columns = 120,
  ) {
    super({ decodeStrings: false });
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    this.#written.emit('written');
    done();
  }

  /** Resolves when what was written matches; the test's own time limit ends a wait in vain. */
  async waitFor(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) await new Promise((resolve) => this.#written.once('written', resolve));
  }

  json(): unknown {
    return JSON.parse(this.text);
  }
}

export interface TestIo extends CliIo {
  readonly stdout: Capture;
  readonly stderr: Capture;
  readonly stdin: PassThrough & { isTTY?: boolean };
  readonly interrupts: EventEmitter;
}

/** Streams for `runCli`; with `terminal` a person sits before them. */
export function createTestIo(options: { terminal?: boolean; env?: Record<string, string> } = {}): TestIo {
  const { terminal = false, env = {} } = options;
  return {
    stdout: new Capture(terminal),
    stderr: new Capture(terminal),
    stdin: Object.assign(new PassThrough(), { isTTY: terminal }),
    env,
    interrupts: new EventEmitter(),
  };
}
