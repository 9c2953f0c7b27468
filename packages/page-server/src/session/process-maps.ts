import { readFileSync } from 'node:fs';

/** One mapping of a process, in host addresses [start, end). */
export interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly isShared: boolean;
}

/** The mappings of a process by address; null where they may not be read or it has exited. proc_pid_maps(5). */
export function readMappings(pid: number): Mapping[] | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/maps`, 'utf8');
  } catch {
    return null;
  }
  return [...text.matchAll(/^([0-9a-f]+)-([0-9a-f]+) ...(.)/gm)].map(([, start, end, shared]) => ({
    start: BigInt(`0x${start ?? '0'}`),
    end: BigInt(`0x${end ?? '0'}`),
    isShared: shared === 's',
  }));
}
