import { TARGET_PAGE_SIZE, type PageRange } from '@umem/ram';
import type { PendingPages } from './pending.js';
import { skipBytes } from './place-pages.js';
import type { UmemBlock } from './umem-memory.js';

/**
 * Splits pages that wait to be placed: those that the guest has given up meanwhile must not be filled
 * any more.
 */
export function splitRemoved(
  block: UmemBlock,
  pending: PendingPages,
): { kept: PendingPages[]; removed: PageRange[] } {
  const kept: PendingPages[] = [];
  const removed: PageRange[] = [];
  const { pgoff: first, pageCount } = pending.range;
  const end = first + pageCount;
  for (let at = first; at < end;) {
    const isRemoved = block.removed.has(at);
    let to = at + 1;
    while (to < end && block.removed.has(to) === isRemoved) to++;
    const range = { pgoff: at, pageCount: to - at };
    const content = skipBytes(pending.content, (at - first) * TARGET_PAGE_SIZE);
    if (isRemoved) removed.push(range);
    else kept.push({ ...pending, range, content });
    at = to;
  }
  return { kept, removed };
}
