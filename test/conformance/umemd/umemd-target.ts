import { join } from 'node:path';
import { freeHugePages, mountHugePages } from '../../kit/huge-pages.js';
import { Lab } from '../../kit/lab.js';
import { Service } from '../../kit/service.js';
import { NotApplicable } from '../rule.js';
import { untilTrue } from '../waits.js';
import { WireClient } from '../wire/client.js';

/** A page server under test. It runs on this host: VMMs hand over through Unix sockets. */
export interface UmemdTarget {
  readonly address: string;
  /** A folder on hugetlbfs, with this many huge pages of 2 MiB free. Throws NotApplicable. */
  hugePages(pages: number): Promise<string>;
  /** The end of what the service has logged; empty for somebody else's. */
  logs(): string;
  close(): Promise<void>;
}

/** Huge pages that rules use at a time. */
const MAX_HUGE_PAGES = 8;

/** Our own page server as a child process, quick to come to conclusions. */
export async function startOwnUmemd(): Promise<UmemdTarget> {
  const lab = await Lab.open();
  try {
    const service = await Service.start(lab, {
      name: 'page-server',
      program: 'page-server',
      listen: `unix:${join(lab.dir, 'umemd.sock')}`,
      stateDir: join(lab.dir, 'page-server'),
      args: [
        '--max-reconnect-delay',
        '50ms',
        '--max-refusals',
        '3',
        '--quit-timeout',
        '2s',
        '--handoff-timeout',
        '4s',
      ],
    });
    return toTarget(lab, service.address, () => mountHugePages(lab, MAX_HUGE_PAGES));
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** A page server that somebody else runs. The pool of huge pages of their host stays as it is. */
export async function foreignUmemd(address: string): Promise<UmemdTarget> {
  const client = new WireClient(address);
  try {
    await client.call('Umemd', 'ListUmems', {});
  } catch (cause) {
    throw new Error(
      `The page server at ${address}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    );
  } finally {
    client.close();
  }
  const lab = await Lab.open();
  const mount = async (): Promise<string | null> => {
    const free = freeHugePages();
    return free < MAX_HUGE_PAGES ? null : mountHugePages(lab, MAX_HUGE_PAGES);
  };
  return toTarget(lab, address, mount);
}

function toTarget(lab: Lab, address: string, mount: () => Promise<string | null>): UmemdTarget {
  let mounted: Promise<string | null> | null = null;
  return {
    address,
    hugePages: async (pages) => {
      // Without huge pages the kernel has no such folder.
      mounted ??= mount().catch(() => null);
      const dir = await mounted;
      if (dir === null)
        throw new NotApplicable(
          `hugetlbfs with ${MAX_HUGE_PAGES} free huge pages of 2 MiB is not to be had here: raise vm.nr_hugepages, and run as root`,
        );
      // Those of the rule before come back when its VMM has ended.
      await untilTrue(`${pages} free huge pages`, () => freeHugePages() >= pages);
      return dir;
    },
    logs: () => lab.logs(),
    close: () => lab.close(),
  };
}
