import type { PageRange } from '@umem/ram';
import type { PendingPlacement } from './batch-placer.js';
import { skipPages } from './place-pages.js';
import type { UmemBlock } from './umem-memory.js';

/**
 * Splits pages that wait to be placed: those that the guest has given up meanwhile must not be filled
 * any more.
 */
export function splitRemoved(
  block: UmemBlock,
  pending: PendingPlacement,
): { kept: PendingPlacement[]; removed: PageRange[] } {
  const kept: PendingPlacement[] = [];
  const removed: PageRange[] = [];
  const { pgoff: first, pageCount } = pending.range;
  const end = first + pageCount;
  for (let at = first; at < end;) {
    const isRemoved = block.removed.has(at);
    let to = at + 1;
    while (to < end && block.removed.has(to) === isRemoved) to++;
    const range = { pgoff: at, pageCount: to - at };
    if (isRemoved) removed.push(range);
    else kept.push({ ...pending, range, content: skipPages(pending.content, at - first) });
    at = to;
  }
  return { kept, removed };
}
