import { MAX_PGOFFS_PER_MESSAGE, type PageRange } from '@umem/ram';
import type { UmemRequest } from './gen/umem/v1/page_source.js';

/** Commands whose list may be longer than one message. */
type ListCommand = 'onDemand' | 'background';

/**
 * The messages that ask for `pgoffs`: the command with up to 4063 of them, then as many _CONT
 * messages as it takes.
 */
export function toPageListRequests(
  command: ListCommand,
  blockId: string,
  pgoffs: readonly number[],
): UmemRequest[] {
  const requests: UmemRequest[] = [];
  for (let i = 0; i < pgoffs.length; i += MAX_PGOFFS_PER_MESSAGE) {
    const part = pgoffs.slice(i, i + MAX_PGOFFS_PER_MESSAGE);
    if (i === 0) requests.push({ command: { $case: command, value: { blockId, pgoffs: part } } });
    else requests.push({ command: { $case: `${command}Cont`, value: { pgoffs: part } } });
  }
  return requests;
}

/** The messages that give `pgoffs` up. REMOVE has no _CONT: each names its block. */
export function toRemoveRequests(blockId: string, pgoffs: readonly number[]): UmemRequest[] {
  const requests: UmemRequest[] = [];
  for (let i = 0; i < pgoffs.length; i += MAX_PGOFFS_PER_MESSAGE) {
    const part = pgoffs.slice(i, i + MAX_PGOFFS_PER_MESSAGE);
    requests.push({ command: { $case: 'remove', value: { blockId, pgoffs: part } } });
  }
  return requests;
}

/** The messages that confirm `ranges` as placed: at most 4063 ranges in each. */
export function toPlacedRequests(blockId: string, ranges: readonly PageRange[]): UmemRequest[] {
  const requests: UmemRequest[] = [];
  for (let i = 0; i < ranges.length; i += MAX_PGOFFS_PER_MESSAGE) {
    const part = ranges.slice(i, i + MAX_PGOFFS_PER_MESSAGE);
    requests.push({ command: { $case: 'placed', value: { blockId, ranges: part } } });
  }
  return requests;
}
