import { mkdtemp, rm } from 'node:fs/promises';
import { MigrationState } from '@umem/api';
import { silentLogger, startDaemon } from '@umem/daemon';
import { afterEach, describe, expect, test } from 'vitest';
import { sourceAgentDaemon } from './server.js';
import { AgentLab } from './testing/agent-lab.js';

describe('the agent', () => {
  let lab: AgentLab;
  afterEach(() => lab.stop());

  test('tells Prometheus about VMs, migrations, lanes and pages', async () => {
    lab = await AgentLab.start({ metricsListen: '127.0.0.1:0' });
    await lab.startVm();
    lab.destination.autoFinish = false;
    const { migrationId } = await lab.create({ noBackground: true });
    await lab.until(MigrationState.POSTCOPY_ACTIVE);
    const [demand] = lab.destination.lanes;
    demand?.demand('ram0', [1, 2, 3]);
    await demand?.until(() => demand.pages.size === 3);
    const text = await (await fetch(`http://${lab.agent?.metricsAddress}/metrics`)).text();
    expect(text).toContain('umem_vms{moved="true"} 1');
    expect(text).toContain('umem_migrations{state="POSTCOPY_ACTIVE"} 1');
    expect(text).toContain('umem_migrations{state="FAILED"} 0');
    expect(text).toContain(`umem_memory_total_bytes{migration="${migrationId}",vm="vm1"} 4194304`);
    expect(text).toContain(`umem_lanes{migration="${migrationId}"} 2`);
    expect(text).toContain(`umem_sent_pages{migration="${migrationId}",kind="demand"} 3`);
    lab.destination.finish();
    await lab.end();
  });

  test('takes no more migrations than it may, and says which flag allows more', async () => {
    lab = await AgentLab.start({ maxMigrations: 1 });
    await lab.startVm('vm1');
    await lab.startVm('vm2');
    lab.destination.autoFinish = false;
    await lab.create({ noBackground: true });
    await expect(lab.create({}, { vm: 'vm2' })).rejects.toThrow('--max-migrations');
    await lab.until(MigrationState.POSTCOPY_ACTIVE);
    lab.destination.finish();
    await lab.end();
    lab.destination.prepareByHand('vm2', (await lab.getVm('vm2')).blocks);
    expect(await lab.create({}, { vm: 'vm2' })).toMatchObject({ vm: 'vm2' });
    expect(await lab.cancel('vm2')).toMatchObject({ vm: 'vm2', state: MigrationState.FAILED });
  });

  test('needs --advertise when it listens on every interface', async () => {
    lab = await AgentLab.start({ listen: '0.0.0.0:0', insecureNetwork: true });
    lab.dial(`127.0.0.1:${lab.agent?.address.split(':')[1]}`);
    await lab.startVm();
    await expect(lab.create()).rejects.toThrow('--advertise');
    await lab.create({}, { sourceAddress: `127.0.0.1:${lab.agent?.address.split(':')[1]}` });
    expect(await lab.end()).toMatchObject({ state: MigrationState.COMPLETED });
  });

  test('serves on Unix sockets, background workers as well', async () => {
    lab = await AgentLab.start({ listen: 'unix:/dev/shm/umem-sa-test.sock', backgroundWorkers: 2 });
    await lab.startVm();
    await lab.create();
    expect(await lab.end()).toMatchObject({ state: MigrationState.COMPLETED });
    expect(lab.destination.target?.backgroundAddresses).toEqual([
      `unix:${lab.stateDir}/background.sock`,
      `unix:${lab.stateDir}/background.sock.1`,
    ]);
  });
});

test('a background address that cannot be had is told with its flag', async () => {
  const stateDir = await mkdtemp('/tmp/umem-sa-');
  const settings = { listen: '127.0.0.1:0', stateDir };
  const blocked = { ...settings, backgroundListen: '192.0.2.1:7', insecureNetwork: true };
  await expect(startDaemon(sourceAgentDaemon, blocked, { log: silentLogger })).rejects.toThrow(
    '--background-listen',
  );
  await rm(stateDir, { recursive: true });
});
