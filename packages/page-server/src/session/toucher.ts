import { MAX_PGOFFS_PER_MESSAGE, PageBitmap } from '@umem/ram';
import { InvalidArgument, WrongState } from '@umem/errors';
import type { UmemMemory } from '../place/umem-memory.js';
import { checkNamedPages, type NamedPages } from './named-pages.js';

/** Pages that may be unanswered when more are asked for. */
const MAX_UNANSWERED_PAGES = 4 * MAX_PGOFFS_PER_MESSAGE;
/** Milliseconds between looks for pages that were placed. */
const INTERVAL_MS = 20;

/** Of one block; both grow, `answered` within `asked`. */
interface TouchedBlock {
  readonly asked: PageBitmap;
  readonly answered: PageBitmap;
  /** Where the next look for placed pages begins. */
  next: number;
}

/**
 * Touching requests (postcopy flag 1): asks the VMM side to make placed pages present in the VMM's page
 * tables. Looks for them in the placed bitmaps, so nothing queues. Main event loop only.
 */
export class Toucher {
  readonly #subject: string;
  readonly #memory: UmemMemory;
  /** False: nobody is there to be asked. */
  readonly #send: (pages: NamedPages) => boolean;
  readonly #blocks = new Map<string, TouchedBlock>();
  #timer: NodeJS.Timeout | null = null;
  #unansweredPages = 0;
  #drained: (() => void) | null = null;
  requests = 0;
  touchedPages = 0;

  /** `subject`: whose pages, for messages. */
  constructor(subject: string, memory: UmemMemory, send: (pages: NamedPages) => boolean) {
    this.#subject = subject;
    this.#memory = memory;
    this.#send = send;
    for (const { blockId, pageCount } of memory.blocks.values())
      this.#blocks.set(blockId, {
        asked: new PageBitmap(pageCount),
        answered: new PageBitmap(pageCount),
        next: 0,
      });
  }

  /** From now on pages may be placed. */
  start(): void {
    this.#timer ??= setInterval(() => this.#ask(), INTERVAL_MS).unref();
  }

  /** Another VMM side has come: it is asked for what the one before did not answer. */
  restart(): void {
    this.#unansweredPages = 0;
    for (const block of this.#blocks.values()) {
      for (let at = 0; ;) {
        const range = block.asked.nextNotIn(block.answered, at, block.asked.pageCount, Infinity);
        if (!range) break;
        at = range.pgoff + range.pageCount;
        for (let page = range.pgoff; page < at; page++) block.asked.delete(page);
      }
      block.next = 0;
    }
  }

  /**
   * PAGE_FAULTED. Throws NotFound, PgoffOutOfRange, InvalidArgument, or WrongState when nothing was asked:
   * pages that were not asked for cannot have been touched for us.
   */
  touched(pages: NamedPages): void {
    checkNamedPages(pages, this.#memory);
    const unasked = pages.pgoffs.find((pgoff) => !this.#blocks.get(pages.blockId)?.asked.has(pgoff));
    if (this.requests === 0)
      throw new WrongState(this.#subject, 'idle', ['triggering'], 'no TRIGGER_PAGE_FAULT was sent');
    if (unasked !== undefined)
      throw new InvalidArgument(
        `pgoff ${unasked} of block "${pages.blockId}" was not in a TRIGGER_PAGE_FAULT`,
      );
    this.touchedPages += this.#answered(pages);
  }

  /** PAGE_UNMAPPED, for pages that were asked for or not: they can be touched no more. Checked already. */
  unmapped(pages: NamedPages): void {
    this.#answered(pages);
  }

  /** Resolves when all that was placed has been touched, at the latest after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#ask();
    if (this.#isDrained()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#drained = null;
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#drained?.();
  }

  #isDrained(): boolean {
    return (
      this.#unansweredPages === 0 &&
      [...this.#blocks.keys()].every((blockId) => this.#findPlaced(blockId, 1).length === 0)
    );
  }

  /** Answers with the number of pages that were asked for and had no answer. */
  #answered({ blockId, pgoffs }: NamedPages): number {
    const block = this.#blocks.get(blockId);
    let pages = 0;
    for (const pgoff of pgoffs) if (block?.asked.has(pgoff) && block.answered.add(pgoff)) pages++;
    this.#unansweredPages -= pages;
    this.#ask();
    if (this.#drained && this.#isDrained()) this.#drained();
    return pages;
  }

  #ask(): void {
    for (const [blockId, block] of this.#blocks)
      while (this.#unansweredPages < MAX_UNANSWERED_PAGES) {
        const pgoffs = this.#findPlaced(blockId, MAX_PGOFFS_PER_MESSAGE);
        if (pgoffs.length === 0 || !this.#send({ blockId, pgoffs })) break;
        for (const pgoff of pgoffs) block.asked.add(pgoff);
        block.next = (pgoffs.at(-1) ?? 0) + 1;
        this.requests++;
        this.#unansweredPages += pgoffs.length;
      }
  }

  /** Pages that were placed and not asked for, from where the last look ended and round. */
  #findPlaced(blockId: string, max: number): number[] {
    const memory = this.#memory.blocks.get(blockId);
    const block = this.#blocks.get(blockId);
    const found: number[] = [];
    if (!memory || !block) return found;
    const parts = [
      [block.next, memory.pageCount],
      [0, block.next],
    ] as const;
    for (const [from, to] of parts)
      for (let at = from; found.length < max;) {
        const range = memory.placed.nextNotIn(block.asked, at, to, max - found.length);
        if (!range) break;
        at = range.pgoff + range.pageCount;
        for (let page = range.pgoff; page < at; page++) found.push(page);
      }
    return found;
  }
}
