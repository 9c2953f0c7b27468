import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { Counter } from './counters.js';
import type { Unplaced } from './placer.js';

/** What a lane's pages count as. */
export type ArrivalCounter = Extract<Counter, 'demandPages' | 'backgroundPages'>;

/** Pages that are claimed but not in memory yet; they count as what they came by once they are. */
export interface PendingPages extends Unplaced {
  readonly kind: 'pages';
  readonly countAs: ArrivalCounter;
}

/** A host page all of whose target pages wait in the staging area, or were given up. */
export interface PendingHostPage {
  readonly kind: 'host-page';
  readonly blockId: string;
  readonly hostPage: number;
}

/** Pages that somebody touches although they were given up: they read as zeros, and count as nothing. */
export interface PendingZeros {
  readonly kind: 'zeros';
  readonly blockId: string;
  /** Whole host pages. */
  readonly range: PageRange;
}

export type PendingPlacement = PendingPages | PendingHostPage | PendingZeros;

/** A copy that holds its own bytes only, not the whole message that they came in. */
export function detachPending(pending: PendingPlacement): PendingPlacement {
  if (pending.kind !== 'pages' || pending.content.kind === 'fill') return pending;
  const { content, range } = pending;
  const data = content.data.slice(content.offset, content.offset + range.pageCount * TARGET_PAGE_SIZE);
  return { ...pending, content: { kind: 'raw', data, offset: 0 } };
}
