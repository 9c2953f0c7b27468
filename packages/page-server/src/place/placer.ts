import type { NativeUserfaultfd } from '@umem/native';
import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { RegionMap } from '../handoff/region-map.js';
import { placePages, skipPages, type PageContent } from './place-pages.js';

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
  /** True when the VMM, or its mapping of these pages, is no more. */
  readonly gone: boolean;
}

/** Places pages by block and pgoff. Each thread has its own, with its own objects for the same userfaultfds. */
export class Placer {
  readonly #map: RegionMap;
  readonly #uffds: readonly NativeUserfaultfd[];

  constructor(map: RegionMap, uffds: readonly NativeUserfaultfd[]) {
    this.#map = map;
    this.#uffds = uffds;
  }

  place({ blockId, range, content }: Unplaced): PlaceOutcome {
    const placed: PageRange[] = [];
    const retry: Unplaced[] = [];
    for (const { uffd, hostAddress, pgoff, pageCount } of this.#map.placements(blockId, range)) {
      const rest = skipPages(content, pgoff - range.pgoff);
      const { pages, stopped } = placePages(this.#uffd(uffd), hostAddress, pageCount, rest);
      if (pages > 0) placed.push({ pgoff, pageCount: pages });
      if (stopped === 'gone') return { placed, retry, gone: true };
      if (stopped === 'retry')
        retry.push({
          blockId,
          range: { pgoff: pgoff + pages, pageCount: pageCount - pages },
          content: skipPages(rest, pages),
        });
    }
    return { placed, retry, gone: false };
  }

  /** Wakes whoever waits for a page that is there. */
  wake(blockId: string, range: PageRange): void {
    for (const { uffd, hostAddress, pageCount } of this.#map.placements(blockId, range))
      this.#uffd(uffd).wake(hostAddress, pageCount * TARGET_PAGE_SIZE);
  }

  #uffd(number: number): NativeUserfaultfd {
    const uffd = this.#uffds[number];
    if (!uffd) throw new RangeError(`No userfaultfd ${number}: there are ${this.#uffds.length}`);
    return uffd;
  }
}
