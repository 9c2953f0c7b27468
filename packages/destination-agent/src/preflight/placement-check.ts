import { Placement, type PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import { findHugePageRiskIn } from '@umem/native';
import { RAM_PAGE_SIZE, type RamPlan } from '../ram/ram-plan.js';
import { failed, passed } from './check.js';

/**
 * Whether pages can be placed as asked. Cache placement fills the file and only wakes: with a
 * transparent huge page behind the file one arrived page would map its absent neighbours, too.
 * `findRisk`: why such pages could back files in a directory, and what to do.
 */
export function checkPlacement(
  placement: Placement,
  plan: RamPlan,
  findRisk: (dir: string) => string | null = findHugePageRiskIn,
): PreflightCheck {
  const check = 'transparent-huge-pages';
  // UFFDIO_COPY is right with transparent huge pages and without.
  if (placement !== Placement.CACHE) return passed(check, 'copy');
  const dir = plan.blocks.find(({ block }) => block.hostPageSizeBytes === RAM_PAGE_SIZE)?.dir;
  if (dir === undefined) return passed(check, 'cache; no RAM file lies on a tmpfs');
  try {
    const risk = findRisk(dir);
    if (risk === null) return passed(check, `cache; no transparent huge page can back files in ${dir}`);
    return failed(
      check,
      `Transparent huge pages could back files in ${dir}: with placement cache a page that has arrived would make absent neighbours readable`,
      `${risk.charAt(0).toUpperCase()}${risk.slice(1)}; or use placement copy`,
    );
  } catch (error) {
    return failed(
      check,
      `Whether transparent huge pages could back files in ${dir} is unknown (${messageOf(error)})`,
      'Use placement copy',
    );
  }
}
