import { Gauge, type Registry } from 'prom-client';
import type { UmemSets } from './session/umem-sets.js';
import { UMEM_STATES } from './umem-state.js';

/** Registers `umem_*` gauges that look at the sets when they are scraped. */
export function registerMetrics(registry: Registry, sets: UmemSets): void {
  const registers = [registry];
  new Gauge({
    name: 'umem_page_server_umems',
    help: 'Umem sets by state',
    labelNames: ['state'],
    registers,
    collect() {
      for (const state of Object.keys(UMEM_STATES)) this.set({ state }, 0);
      for (const { state } of sets.list()) this.inc({ state });
    },
  });
  new Gauge({
    name: 'umem_page_server_pages',
    help: 'Pages of a umem set by how they arrived; duplicate and fill count pages a second time',
    labelNames: ['umem', 'kind'],
    registers,
    collect() {
      this.reset();
      for (const { name: umem, memory } of sets.list()) {
        for (const kind of ['demand', 'background', 'fill', 'duplicate', 'removed'] as const)
          this.set({ umem, kind }, Number(memory.counters.get(`${kind}Pages`)));
        this.set({ umem, kind: 'remaining' }, memory.remainingPages());
      }
    },
  });
  new Gauge({
    name: 'umem_page_server_wire_bytes',
    help: 'Bytes of all messages that a umem set received on its lanes',
    labelNames: ['umem'],
    registers,
    collect() {
      this.reset();
      for (const { name: umem, memory } of sets.list())
        this.set({ umem }, Number(memory.counters.get('wireBytes')));
    },
  });
  new Gauge({
    name: 'umem_page_server_faults',
    help: 'Faults that the guest raised',
    labelNames: ['umem'],
    registers,
    collect() {
      this.reset();
      for (const { name: umem, faults } of sets.list()) this.set({ umem }, faults.faults);
    },
  });
  new Gauge({
    name: 'umem_page_server_fault_latency_seconds',
    help: 'Time from a fault until its page was in place',
    labelNames: ['umem', 'quantile'],
    registers,
    collect() {
      this.reset();
      for (const { name: umem, faults } of sets.list())
        for (const quantile of [0.5, 0.99, 1])
          this.set({ umem, quantile }, faults.latency.quantile(quantile) / 1e6);
    },
  });
  new Gauge({
    name: 'umem_page_server_recoveries',
    help: 'Times that the lanes of a umem set were lost and connected again',
    labelNames: ['umem'],
    registers,
    collect() {
      this.reset();
      for (const { name: umem, recoveries } of sets.list()) this.set({ umem }, recoveries);
    },
  });
}
