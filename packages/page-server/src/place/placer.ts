import type { NativeUserfaultfd } from '@umem/native';
import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { RegionMap } from '../handoff/region-map.js';
import { placePages, skipBytes, type PageContent } from './place-pages.js';

/** Pages that have their place in memory still before them. */
export interface Unplaced {
  readonly blockId: string;
  readonly range: PageRange;
  readonly content: PageContent;
}

/** What became of pages that were to be placed. */
export interface PlaceOutcome {
  /** Pages that are in memory now. */
  readonly placed: readonly PageRange[];
  /** What has to be tried again once pending events are read. */
  readonly retry: readonly Unplaced[];
  /** What is mapped nowhere any more, or whose process is no more. */
  readonly gone: readonly Unplaced[];
}

/** Where pages are placed: regions, and the userfaultfds that they name by number. */
export interface PlaceTarget {
  readonly map: RegionMap;
  readonly uffds: readonly NativeUserfaultfd[];
  /** Called for each run that was placed, with its host address; null: nothing is to be done. */
  readonly afterPlacing: ((hostAddress: bigint, lengthBytes: number) => void) | null;
}

/** Places pages by block and pgoff. Each thread has its own, with its own objects for the same userfaultfds. */
export class Placer {
  readonly #target: PlaceTarget;
  readonly #targetPageSize: number;

  constructor(target: PlaceTarget, targetPageSize: number = TARGET_PAGE_SIZE) {
    this.#target = target;
    this.#targetPageSize = targetPageSize;
  }

  place({ blockId, range, content }: Unplaced): PlaceOutcome {
    const size = this.#targetPageSize;
    const placed: PageRange[] = [];
    const retry: Unplaced[] = [];
    const gone: Unplaced[] = [];
    const { placements, unmapped } = this.#target.map.placements(blockId, range);
    for (const each of unmapped)
      gone.push({ blockId, range: each, content: skipBytes(content, (each.pgoff - range.pgoff) * size) });
    for (const { uffd, hostAddress, pgoff, pageCount, hostPageSize } of placements) {
      const rest = skipBytes(content, (pgoff - range.pgoff) * size);
      const sizes = { target: size, host: hostPageSize };
      const { pages, stopped } = placePages(this.#uffd(uffd), hostAddress, pageCount, rest, sizes);
      if (pages > 0) {
        placed.push({ pgoff, pageCount: pages });
        this.#target.afterPlacing?.(hostAddress, pages * size);
      }
      if (stopped === null) continue;
      (stopped === 'gone' ? gone : retry).push({
        blockId,
        range: { pgoff: pgoff + pages, pageCount: pageCount - pages },
        content: skipBytes(rest, pages * size),
      });
    }
    return { placed, retry, gone };
  }

  #uffd(number: number): NativeUserfaultfd {
    const uffd = this.#target.uffds[number];
    if (!uffd) throw new RangeError(`No userfaultfd ${number}: there are ${this.#target.uffds.length}`);
    return uffd;
  }
}
