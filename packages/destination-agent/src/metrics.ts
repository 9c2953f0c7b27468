import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { INCOMING_TABLE, type IncomingStage } from './incoming-state.js';

/** How an incoming VM ended, as a label. */
export type Outcome =
  /** Every page arrived. */
  | 'completed'
  /** Cleaned up before it was resumed. */
  | 'failed'
  /** Lost after it was resumed. */
  | 'lost';

/** What the agent counts. */
export interface Metrics {
  finished(outcome: Outcome): void;
  /** Device state that a VMM has loaded. */
  loaded(bytes: number, seconds: number): void;
}

/** What the gauges look at when they are read. */
export interface Gauged {
  stages(): Iterable<IncomingStage>;
  ramBytes(): number;
}

/** Registers the agent's metrics. */
export function createMetrics(registry: Registry, gauged: Gauged): Metrics {
  const registers = [registry];
  new Gauge({
    name: 'umem_incoming_vms',
    help: 'Incoming VMs by state',
    labelNames: ['state'],
    registers,
    collect() {
      for (const state of Object.keys(INCOMING_TABLE)) this.set({ state }, 0);
      for (const state of gauged.stages()) this.inc({ state });
    },
  });
  new Gauge({
    name: 'umem_incoming_ram_bytes',
    help: 'Size of the RAM files of incoming VMs, in bytes, arrived or not',
    registers,
    collect() {
      this.set(gauged.ramBytes());
    },
  });
  const finished = new Counter({
    name: 'umem_incoming_finished_total',
    help: 'Incoming VMs that ended, by outcome: completed, failed (guest lost nothing), lost',
    labelNames: ['outcome'],
    registers,
  });
  const bytes = new Counter({
    name: 'umem_device_state_bytes_total',
    help: 'Device state that VMMs have loaded, in bytes',
    registers,
  });
  const seconds = new Histogram({
    name: 'umem_device_state_load_seconds',
    help: 'From the first message of device state until the VMM has loaded it',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  });
  return {
    finished: (outcome) => finished.inc({ outcome }),
    loaded: (size, duration) => {
      bytes.inc(size);
      seconds.observe(duration);
    },
  };
}
