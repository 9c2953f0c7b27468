import { HostPrecondition } from '@umem/errors';
import { findHugePageRiskOf } from '@umem/native';

/** Throws HostPrecondition where the kernel could put huge pages into a RAM file that is filled page by page. */
export function requireNoHugePages(ramFd: number, pid: number): void {
  const risk = findHugePageRiskOf(ramFd, pid);
  if (risk)
    throw new HostPrecondition(
      `Placement CACHE is refused, because transparent huge pages could back the RAM file: ${risk}, or use placement COPY`,
    );
}
