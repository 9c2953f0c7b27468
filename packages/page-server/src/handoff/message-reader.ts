import { InvalidArgument } from '@umem/errors';

/** Most bytes of one handoff message: about 400 regions. */
export const MAX_MESSAGE_BYTES = 64 << 10;

const BYTES = {
  quote: 0x22,
  backslash: 0x5c,
  openArray: 0x5b,
  closeArray: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
};
const WHITE_SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Collects the one JSON array of a handoff, which comes without framing and in any number of
 * chunks: it is complete where its brackets close.
 */
export class MessageReader {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #complete = false;

  /**
   * Takes a chunk; answers with the parsed array once it is complete, null before. Throws
   * InvalidArgument when it cannot become one, has more after it or is too long.
   */
  push(chunk: Buffer): unknown[] | null {
    this.#length += chunk.length;
    if (this.#length > MAX_MESSAGE_BYTES)
      throw new InvalidArgument(`The message is longer than ${MAX_MESSAGE_BYTES} bytes`);
    for (const byte of chunk) this.#scan(byte);
    this.#chunks.push(chunk);
    return this.#complete ? this.#parse() : null;
  }

  #scan(byte: number): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BYTES.backslash) this.#escaped = true;
      else if (byte === BYTES.quote) this.#inString = false;
      return;
    }
    if (WHITE_SPACE.has(byte)) return;
    if (this.#complete) throw new InvalidArgument('Something follows the array of regions');
    if (this.#depth === 0 && byte !== BYTES.openArray)
      throw new InvalidArgument('The message is not a JSON array of regions');
    if (byte === BYTES.quote) this.#inString = true;
    else if (byte === BYTES.openArray || byte === BYTES.openObject) this.#depth++;
    else if (byte === BYTES.closeArray || byte === BYTES.closeObject) this.#depth--;
    this.#complete = this.#depth === 0;
  }

  #parse(): unknown[] {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.concat(this.#chunks).toString('utf8'));
    } catch (cause) {
      throw new InvalidArgument('The message is not JSON', { cause });
    }
    if (!Array.isArray(value)) throw new InvalidArgument('The message is not a JSON array of regions');
    return value as unknown[];
  }
}
