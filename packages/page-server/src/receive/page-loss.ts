import { PageLoss } from '@umem/errors';
import type { UmemMemory } from '../place/umem-memory.js';
import type { LaneLoss } from './lane-loss.js';
import { missingPages } from './missing-pages.js';

/** What a lane that was lost for good means for the guest. */
export function toPageLoss(memory: UmemMemory, { lane, message }: LaneLoss): PageLoss {
  const missing = memory.remainingPages();
  const [first] = missingPages(memory, () => false);
  return new PageLoss(
    `The source cannot supply the ${missing} pages that are missing: ${lane}: ${message}. The guest must stay stopped`,
    first?.blockId ?? '',
    first?.pgoffs[0] ?? 0,
    missing,
  );
}
