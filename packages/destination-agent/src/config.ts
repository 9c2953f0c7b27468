import { totalmem } from 'node:os';
import {
  address,
  bytes,
  defineOptions,
  durationMs,
  integer,
  path,
  type CommonConfig,
  type ConfigOf,
} from '@umem/daemon';
import { isLocal } from '@umem/api';
import { z } from 'zod';
import { HUGE_PAGE_RULES } from './ram/ram-plan.js';

/** Options of umem-destination-agent. */
export const options = defineOptions({
  listen: {
    flag: 'listen',
    metavar: 'address',
    description: 'Where to serve gRPC: host:port or unix:PATH; port 0 takes a free one',
    schema: address(),
    default: '127.0.0.1:7002',
  },
  pageServer: {
    flag: 'page-server',
    metavar: 'address',
    description: "Address of this host's page server",
    schema: address().refine(isLocal, 'It must be on this host: RAM files and handoff cannot cross hosts'),
    default: 'unix:/run/umem/page-server/umemd.sock',
  },
  ramDir: {
    flag: 'ram-dir',
    metavar: 'dir',
    description: 'Directory on a tmpfs for the RAM files of incoming VMs, at VM/BLOCK; made when missing',
    // The path is an entry of UMEM_RAM, where ':' separates, '=' assigns and '*?[' are patterns.
    schema: path().refine(
      (dir) => /^\/[A-Za-z0-9._/-]+$/.test(dir),
      'It must consist of letters, digits, dots, underscores, hyphens and slashes',
    ),
    default: '/dev/shm/umem',
  },
  hugetlbfsDir: {
    flag: 'hugetlbfs-dir',
    metavar: 'dir',
    description:
      'Directory on a hugetlbfs for RAM blocks on huge pages, at VM/BLOCK; made when missing; left out: none are on huge pages',
    schema: path()
      .refine(
        (dir) => /^\/[A-Za-z0-9._/-]+$/.test(dir),
        'It must consist of letters, digits, dots, underscores, hyphens and slashes',
      )
      .optional(),
  },
  hugePages: {
    flag: 'huge-pages',
    metavar: 'rule',
    description:
      'Which RAM blocks are on huge pages: auto, as on the source while pages are free; always, or the VM is refused; never. A launch profile may say otherwise',
    schema: z.enum(HUGE_PAGE_RULES),
    default: 'auto',
  },
  vmProfiles: {
    flag: 'vm-profiles',
    metavar: 'dir',
    description: 'Directory of launch profiles, NAME.yaml; left out: VMMs are launched by others only',
    schema: path().optional(),
  },
  vmmUser: {
    flag: 'vmm-user',
    metavar: 'user[:group]',
    description: "User that VMMs run as, who then owns RAM files and sockets; left out: the agent's own user",
    schema: z.string().min(1).optional(),
  },
  maxIncoming: {
    flag: 'max-incoming',
    metavar: 'count',
    description: 'Most incoming VMs at a time, until they are completed or failed',
    schema: integer({ min: 1, max: 1000 }),
    default: 16,
  },
  maxRam: {
    flag: 'max-ram',
    metavar: 'size',
    description: "Most RAM of all VMs that came in and still hold RAM files; default: this host's memory",
    schema: bytes({ min: 4096 }),
    default: totalmem(),
  },
  incomingTimeout: {
    flag: 'incoming-timeout',
    metavar: 'duration',
    description: 'Without progress for this long before it is resumed, an incoming VM is cleaned up',
    schema: durationMs({ min: 100, max: 24 * 3_600_000 }),
    default: '10min',
  },
  sourceLossGrace: {
    flag: 'source-loss-grace',
    metavar: 'duration',
    description:
      'Without a lane to its source for this long before it is resumed, an incoming VM is cleaned up',
    schema: durationMs({ min: 100, max: 3_600_000 }),
    default: '10s',
  },
});

/** The destination-agent's settings; durations in milliseconds, sizes in bytes. */
export type AgentConfig = ConfigOf<typeof options> & CommonConfig;
