import { join } from 'node:path';
import { startProcessGuest } from '@umem/vmm';
import { Lab } from '../../kit/lab.js';
import { Service } from '../../kit/service.js';
import { WireClient } from '../wire/client.js';
import type { SourceTarget } from './source-target.js';

const VM = 'conformance';
const PAGE = 4096;

/**
 * The second block is no multiple of eight pages, so that its bitmaps have spare bits, and the first is
 * larger than what a source may keep in its queues.
 */
const BLOCKS = [
  { id: 'ram0', sizeBytes: 8192 * PAGE },
  { id: 'ram1', sizeBytes: 2045 * PAGE },
] as const;

/** Our own source-agent with a process guest, as child processes of this one. */
export async function startOwnSource(): Promise<SourceTarget> {
  const lab = await Lab.open();
  try {
    const ramPaths = new Map(BLOCKS.map(({ id }) => [id, join(lab.ramDir, id)]));
    const [agent, guest] = await Promise.all([
      Service.start(lab, {
        name: 'source-agent',
        program: 'source-agent',
        stateDir: join(lab.dir, 'source'),
        args: ['--background-workers', '2'],
      }),
      startProcessGuest({
        name: VM,
        dir: await lab.makeDir('guest'),
        blocks: BLOCKS.map((block) => ({ ...block, path: join(lab.ramDir, block.id) })),
        // Enough pauses to leave the processor to the test.
        workload: { constantPercent: 10, threads: 1, thinkUs: 200 },
      }),
    ]);
    lab.cleanup.defer('kill the guest', () => guest.kill());
    const client = new WireClient(agent.address);
    await client.call('VmService', 'RegisterVm', { name: VM, qmp_path: guest.qmpPath });
    client.close();
    return {
      address: agent.address,
      vm: VM,
      ramPaths,
      listen: '127.0.0.1:0',
      logs: () => lab.logs(),
      close: () => lab.close(),
    };
  } catch (error) {
    await lab.close();
    throw error;
  }
}
