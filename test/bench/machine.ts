import { cpus, freemem, loadavg, release } from 'node:os';

/** What the machine is. */
export function describeMachine() {
  return {
    cpus: cpus().length,
    cpu: cpus()[0]?.model ?? '',
    kernel: release(),
    node: process.version,
  };
}

/** How busy it is before a round: numbers of a busy machine say little. */
export interface MachineState {
  /** Processes that run or want to, over the last minute. */
  readonly load1m: number;
  readonly freeMiB: number;
}

export function machineState(): MachineState {
  return { load1m: loadavg()[0] ?? NaN, freeMiB: Math.round(freemem() / 2 ** 20) };
}
