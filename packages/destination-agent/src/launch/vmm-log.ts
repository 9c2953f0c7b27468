import { constants, open, type FileHandle } from 'node:fs/promises';

/** Bytes and lines of a log that an error message quotes. */
const TAIL_BYTES = 2048;
const TAIL_LINES = 10;

/**
 * What a launched VMM prints. Read through the descriptor that was made with the file: the VMM's
 * user may have put something else under its name since.
 */
export class VmmLog {
  #file: FileHandle | null;

  private constructor(
    readonly path: string,
    file: FileHandle,
  ) {
    this.#file = file;
  }

  static async create(path: string): Promise<VmmLog> {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_APPEND } = constants;
    return new VmmLog(path, await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_APPEND, 0o600));
  }

  /** For the VMM's standard output and error; null after `close`. */
  get fd(): number | null {
    return this.#file?.fd ?? null;
  }

  /** The last lines, for a message; empty when there are none. */
  async tail(): Promise<string> {
    if (!this.#file) return '';
    const { size } = await this.#file.stat();
    const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, size - buffer.length);
    return toTail(buffer.toString('utf8', 0, bytesRead));
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }
}

/** The last lines of a text, without control characters that would garble a terminal. */
export function toTail(text: string): string {
  const printable = text.replace(/[^\P{Cc}\n]/gu, ' ');
  const lines = printable.split('\n').map((line) => line.trimEnd());
  return lines
    .filter((line) => line !== '')
    .slice(-TAIL_LINES)
    .join('\n');
}
