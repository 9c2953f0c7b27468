import { expect, onTestFinished, test } from 'vitest';
import { Fixture } from './testing/page-server-fixture.js';

test('every set can be followed at the metrics endpoint', async () => {
  const fixture = new Fixture({ ram0: 16 * 4096 });
  onTestFinished(() => fixture.close());
  await fixture.start({ metricsListen: '127.0.0.1:0' });
  await fixture.arm(0);
  await fixture.vmm.read('ram0', 3);
  const text = await (await fetch(`http://${fixture.metricsAddress}/metrics`)).text();
  for (const line of [
    'umem_page_server_umems{state="ARMED"} 1',
    'umem_page_server_umems{state="FAILED"} 0',
    'umem_page_server_pages{umem="vm1",kind="demand"} 1',
    'umem_page_server_pages{umem="vm1",kind="remaining"} 15',
    'umem_page_server_faults{umem="vm1"} 1',
    'umem_page_server_recoveries{umem="vm1"} 0',
  ])
    expect(text).toContain(`${line}\n`);
  expect(text).toMatch(/umem_page_server_fault_latency_seconds\{umem="vm1",quantile="0.5"\} 0\.\d+/);
});
