import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createMetrics } from './metrics.js';

describe('the metrics', () => {
  it('count states as they are when they are read, and outcomes as they come', async () => {
    const registry = new Registry();
    const metrics = createMetrics(registry, {
      stages: () => ['RESUMED', 'RESUMED', 'FAILED'],
      ramBytes: () => 8192,
    });
    metrics.finished('failed');
    metrics.loaded(1000, 0.02);
    const text = await registry.metrics();
    for (const line of [
      'umem_incoming_vms{state="RESUMED"} 2',
      'umem_incoming_vms{state="FAILED"} 1',
      'umem_incoming_vms{state="PREPARED"} 0',
      'umem_incoming_ram_bytes 8192',
      'umem_incoming_finished_total{outcome="failed"} 1',
      'umem_device_state_bytes_total 1000',
      'umem_device_state_load_seconds_bucket{le="0.025"} 1',
    ])
      expect(text).toContain(line);
  });
});
