import { join } from 'node:path';
import { startProcessGuest } from '@umem/vmm';
import { mountHugePages } from '../../kit/huge-pages.js';
import { Lab } from '../../kit/lab.js';
import { Service } from '../../kit/service.js';
import { WireClient } from '../wire/client.js';
import type { SourceTarget } from './source-target.js';

const PAGE = 4096;
const HUGE_PAGE = 2 << 20;

/**
 * The second block is no multiple of eight pages, so that its bitmaps have spare bits, and the first is
 * larger than what a source may keep in its queues. Ids are of one VM only, as its RAM files are named by them.
 */
const VMS = {
  conformance: { ram0: 8192 * PAGE, ram1: 2045 * PAGE },
  'conformance-spare1': { spare1: 1024 * PAGE },
  'conformance-spare2': { spare2: 1024 * PAGE },
  'conformance-spare3': { spare3: 1024 * PAGE },
} as const;

/** Where hugetlbfs is to be had: a block of one VM, and another VM. */
const HUGE_VMS = {
  conformance: { huge0: 2 * HUGE_PAGE },
  'conformance-spare4': { spare4: 2 * HUGE_PAGE },
} as const;

interface Block {
  readonly id: string;
  readonly sizeBytes: number;
  readonly path: string;
}

/** Blocks of each VM. */
async function planBlocks(lab: Lab): Promise<ReadonlyMap<string, readonly Block[]>> {
  const plan = new Map<string, Block[]>();
  const add = (vms: Readonly<Record<string, Readonly<Record<string, number>>>>, dir: string): void => {
    for (const [vm, blocks] of Object.entries(vms))
      for (const [id, sizeBytes] of Object.entries(blocks))
        plan.set(vm, [...(plan.get(vm) ?? []), { id, sizeBytes, path: join(dir, id) }]);
  };
  add(VMS, lab.ramDir);
  // Without huge pages the kernel has no such folder.
  const hugeDir = await mountHugePages(lab, 4).catch(() => null);
  if (hugeDir !== null) add(HUGE_VMS, hugeDir);
  return plan;
}

/** Our own source-agent with process guests, as child processes of this one. */
export async function startOwnSource(): Promise<SourceTarget> {
  const lab = await Lab.open();
  try {
    const plan = await planBlocks(lab);
    const [agent, ...guests] = await Promise.all([
      Service.start(lab, {
        name: 'source-agent',
        program: 'source-agent',
        stateDir: join(lab.dir, 'source'),
        args: ['--background-workers', '2'],
      }),
      ...[...plan].map(async ([name, blocks]) => {
        const guest = await startProcessGuest({
          name,
          dir: await lab.makeDir(name),
          blocks,
          // Enough pauses to leave the processor to the test.
          workload: { constantPercent: 10, threads: 1, thinkUs: 1000 },
        });
        lab.cleanup.defer(`kill ${name}`, () => guest.kill());
        return { name, guest };
      }),
    ]);
    const client = new WireClient(agent.address);
    for (const { name, guest } of guests)
      await client.call('VmService', 'RegisterVm', { name, qmp_path: guest.qmpPath });
    client.close();
    const [vm = '', ...spareVms] = plan.keys();
    return {
      address: agent.address,
      vm,
      spareVms,
      ramPaths: new Map(
        [...plan].flatMap(([name, blocks]) =>
          blocks.map(({ id, path }): [string, string] => [name === vm ? id : `${name}/${id}`, path]),
        ),
      ),
      listen: '127.0.0.1:0',
      logs: () => lab.logs(),
      close: () => lab.close(),
    };
  } catch (error) {
    await lab.close();
    throw error;
  }
}
