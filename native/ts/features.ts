/** Feature bits of userfaultfd, as in linux/userfaultfd.h. ioctl_userfaultfd(2), UFFDIO_API. */
export const UFFD_FEATURE = {
  pagefaultFlagWp: 1n << 0n,
  eventFork: 1n << 1n,
  eventRemap: 1n << 2n,
  /** Pages that the process gives up (MADV_REMOVE, MADV_DONTNEED, hole punching) are told as events. */
  eventRemove: 1n << 3n,
  missingHugetlbfs: 1n << 4n,
  missingShmem: 1n << 5n,
  eventUnmap: 1n << 6n,
  sigbus: 1n << 7n,
  /** Faults carry the id of the thread that waits. */
  threadId: 1n << 8n,
  minorHugetlbfs: 1n << 9n,
  minorShmem: 1n << 10n,
  /** Fault addresses are exact, not rounded down to the page. */
  exactAddress: 1n << 11n,
  wpHugetlbfsShmem: 1n << 12n,
  wpUnpopulated: 1n << 13n,
  poison: 1n << 14n,
  wpAsync: 1n << 15n,
} as const;
