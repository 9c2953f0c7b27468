import type { Malformed, UmemRequest } from '@umem/api';
import { InvalidArgument, NotFound, PgoffOutOfRange } from '@umem/errors';
import { MAX_PGOFFS_PER_MESSAGE, type PageRange } from '@umem/ram';
import type { SourceBlock, SourceRam } from '../ram/source-ram.js';

/** Pages of one block that a message names: each pgoff lies in the block. */
export interface PageRequest {
  readonly kind: 'demand' | 'background' | 'remove';
  readonly block: SourceBlock;
  readonly pgoffs: readonly number[];
}

/** Pages that are in place at the destination: each range lies in the block. */
export interface PlacedPages {
  readonly kind: 'placed';
  readonly block: SourceBlock;
  readonly ranges: readonly PageRange[];
}

/** A request after INIT, checked. */
export type LaneRequest = PageRequest | PlacedPages | { readonly kind: 'eoc' };

/** Commands that _CONT can continue, by the name they have in the protocol. */
const WIRE_NAMES = { demand: 'ON_DEMAND', background: 'BACKGROUND', remove: 'REMOVE' } as const;

/** Checks the requests of one lane, one after the other; remembers what _CONT continues. */
export class RequestReader {
  readonly #ram: SourceRam;
  /** The command before, when a _CONT may follow it. */
  #previous: PageRequest | null = null;

  constructor(ram: SourceRam) {
    this.#ram = ram;
  }

  /**
   * Throws InvalidArgument, NotFound or PgoffOutOfRange: then nothing of the message counts and the
   * lane must end.
   */
  read(message: UmemRequest | Malformed): LaneRequest {
    if ('malformed' in message)
      throw new InvalidArgument(`The message is not an UmemRequest: ${message.malformed}`);
    const { command } = message;
    switch (command?.$case) {
      case 'onDemand':
        return this.#remember(this.#pages('demand', command.value.blockId, command.value.pgoffs));
      case 'background':
        return this.#remember(this.#pages('background', command.value.blockId, command.value.pgoffs));
      case 'onDemandCont':
        return this.#remember(this.#continued('demand', command.value.pgoffs));
      case 'backgroundCont':
        return this.#remember(this.#continued('background', command.value.pgoffs));
      case 'remove':
        this.#previous = null;
        return this.#pages('remove', command.value.blockId, command.value.pgoffs);
      case 'placed':
        this.#previous = null;
        return this.#placed(command.value.blockId, command.value.ranges);
      case 'eoc':
        return { kind: 'eoc' };
      case 'init':
        throw new InvalidArgument('INIT came a second time: it is only the first message of a lane');
      case undefined:
        throw new InvalidArgument(
          'The command is not set or not known: set exactly one of UmemRequest.command',
        );
    }
  }

  #remember(request: PageRequest): PageRequest {
    this.#previous = request;
    return request;
  }

  #pages(kind: PageRequest['kind'], blockId: string, pgoffs: readonly number[]): PageRequest {
    const name = WIRE_NAMES[kind];
    const block = this.#block(name, blockId);
    checkPgoffs(name, block, pgoffs);
    return { kind, block, pgoffs };
  }

  #placed(blockId: string, ranges: readonly PageRange[]): PlacedPages {
    const block = this.#block('PLACED', blockId);
    checkRanges('PLACED', block, ranges);
    return { kind: 'placed', block, ranges };
  }

  #block(name: string, blockId: string): SourceBlock {
    const block = this.#ram.find(blockId);
    if (block) return block;
    const known = this.#ram.blocks.map((one) => `"${one.blockId}"`).join(', ');
    throw new NotFound(
      `${name}.block_id names block "${blockId}", which this VM does not have; it has ${known}`,
    );
  }

  #continued(kind: 'demand' | 'background', pgoffs: readonly number[]): PageRequest {
    const name = WIRE_NAMES[kind];
    if (this.#previous?.kind !== kind)
      throw new InvalidArgument(
        `${name}_CONT has nothing to continue: it must come right after ${name} or ${name}_CONT`,
      );
    const { block } = this.#previous;
    checkPgoffs(`${name}_CONT`, block, pgoffs);
    return { kind, block, pgoffs };
  }
}

function checkPgoffs(name: string, { blockId, pageCount }: SourceBlock, pgoffs: readonly number[]): void {
  if (pgoffs.length === 0) throw new InvalidArgument(`${name}.pgoffs is empty: name at least one page`);
  if (pgoffs.length > MAX_PGOFFS_PER_MESSAGE)
    throw new InvalidArgument(
      `${name}.pgoffs has ${pgoffs.length} entries and ${MAX_PGOFFS_PER_MESSAGE} is the most: put the rest in _CONT messages`,
    );
  const outside = pgoffs.find((pgoff) => pgoff >= pageCount);
  if (outside !== undefined)
    throw new PgoffOutOfRange(
      `${name}.pgoffs names page ${outside} of block "${blockId}", which has ${pageCount} pages (0 to ${pageCount - 1})`,
      { metadata: { blockId, pgoff: String(outside), pageCount: String(pageCount) } },
    );
}

function checkRanges(name: string, { blockId, pageCount }: SourceBlock, ranges: readonly PageRange[]): void {
  if (ranges.length === 0) throw new InvalidArgument(`${name}.ranges is empty: name at least one range`);
  if (ranges.length > MAX_PGOFFS_PER_MESSAGE)
    throw new InvalidArgument(
      `${name}.ranges has ${ranges.length} entries and ${MAX_PGOFFS_PER_MESSAGE} is the most: send several messages`,
    );
  const empty = ranges.find((range) => range.pageCount === 0);
  if (empty)
    throw new InvalidArgument(
      `${name}.ranges has a range of 0 pages at page ${empty.pgoff}: name at least one page`,
    );
  const outside = ranges.find((range) => range.pgoff + range.pageCount > pageCount);
  if (outside)
    throw new PgoffOutOfRange(
      `${name}.ranges names ${outside.pageCount} pages from page ${outside.pgoff} of block "${blockId}", which has ${pageCount} pages (0 to ${pageCount - 1})`,
      { metadata: { blockId, pgoff: String(outside.pgoff), pageCount: String(pageCount) } },
    );
}
