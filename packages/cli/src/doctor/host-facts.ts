import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf } from '@umem/errors';
import {
  findHugetlbfs,
  readHugePagePools,
  type HugePagePool,
  type HugetlbfsMount,
} from './huge-page-facts.js';

/** Why no userfaultfd can be made here, and what would help. */
export interface UserfaultfdObstacle {
  readonly finding: string;
  readonly fix: string;
}

/** What can be learnt about this host without changing anything. */
export interface HostFacts {
  readonly kernelRelease: string;
  /** Effective capabilities of this process, one bit each (capabilities(7)). */
  readonly capabilities: bigint;
  /** vm.unprivileged_userfaultfd; null when the kernel has no such setting. */
  readonly unprivilegedUserfaultfd: string | null;
  /** /dev/userfaultfd, Linux 6.1 and newer. */
  readonly userfaultfdDevice: 'usable' | 'refused' | 'absent';
  /** What kept us from making a userfaultfd as a VMM would; null when nothing did, or it was not tried. */
  readonly userfaultfdObstacle: UserfaultfdObstacle | null;
  /** 0 none, 1 strict, 2 filter (seccomp(2)). */
  readonly seccompMode: number;
  /** The chosen word of shmem_enabled: never, advise, always…; null without huge page support. */
  readonly shmemHugePages: string | null;
  readonly hugePagePools: readonly HugePagePool[];
  readonly hugetlbfsMounts: readonly HugetlbfsMount[];
  /** Mount options of the file system that RAM files go to. */
  readonly ramDirMountOptions: readonly string[];
  readonly ramDir: string;
  /** Bytes; null when the directory does not exist. */
  readonly ramDirFreeBytes: number | null;
  /** "QEMU emulator version 7.2.22", or null when none is in PATH. */
  readonly qemuVersion: string | null;
}

export async function readHostFacts(
  ramDir: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<HostFacts> {
  const status = readText('/proc/self/status') ?? '';
  const mounts = readText('/proc/self/mounts') ?? '';
  return {
    kernelRelease: release(),
    capabilities: BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`),
    unprivilegedUserfaultfd: readText('/proc/sys/vm/unprivileged_userfaultfd'),
    userfaultfdDevice: probeDevice('/dev/userfaultfd'),
    userfaultfdObstacle: await probeUserfaultfd(),
    seccompMode: Number(/^Seccomp:\s*(\d)$/m.exec(status)?.[1] ?? 0),
    shmemHugePages: chosenWord(readText('/sys/kernel/mm/transparent_hugepage/shmem_enabled')),
    hugePagePools: readHugePagePools(),
    hugetlbfsMounts: findHugetlbfs(mounts),
    ramDirMountOptions: findMountOptions(mounts, ramDir),
    ramDir,
    ramDirFreeBytes: freeBytes(ramDir),
    qemuVersion: await findQemu(env['PATH'] ?? ''),
  };
}

/** The text of a file of the kernel, null when this kernel or container does not have it. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Absence is a fact of its own here.
    return null;
  }
}

function probeDevice(path: string): HostFacts['userfaultfdDevice'] {
  if (!existsSync(path)) return 'absent';
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return 'usable';
  } catch {
    // Its mode refuses this user.
    return 'refused';
  }
}

/** A program, because only native code can; umemctl may be installed without it. */
const PROBE = fileURLToPath(new URL('../../../../native/build/umem-handoff-probe', import.meta.url));

function probeUserfaultfd(): Promise<UserfaultfdObstacle | null> {
  return new Promise((resolve) => {
    execFile(PROBE, { timeout: 5_000 }, (error, stdout) => {
      const [finding = '', fix = ''] = stdout.split('\n');
      // Any other failure says something of the program, not of the host.
      resolve(error?.code === 1 && fix !== '' ? { finding, fix } : null);
    });
  });
}

/** `always within_size advise [never]`: the word in brackets. */
function chosenWord(text: string | null): string | null {
  return /\[(\w+)\]/.exec(text ?? '')?.[1] ?? null;
}

/** Options of the mount that holds `path`: the longest mount point that is a prefix of it. */
export function findMountOptions(mounts: string, path: string): string[] {
  let best = { point: '', options: '' };
  for (const line of mounts.split('\n')) {
    const [, point = '', , options = ''] = line.split(' ');
    const holds = point === '/' || path === point || path.startsWith(`${point}/`);
    if (holds && point.length >= best.point.length) best = { point, options };
  }
  return best.options.split(',');
}

function freeBytes(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    // The check says that the directory is not there.
    return null;
  }
}

async function findQemu(path: string): Promise<string | null> {
  const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? process.arch;
  const names = [`qemu-system-${machine}`, 'qemu-kvm'];
  const places = [...path.split(delimiter), '/usr/libexec'].filter((folder) => folder !== '');
  const found = places.flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
  if (!found) return null;
  try {
    const { stdout } = await promisify(execFile)(found, ['--version'], { timeout: 5_000 });
    return /QEMU emulator version \S+/.exec(stdout)?.[0] ?? found;
  } catch (error) {
    return `${found}, which does not run: ${messageOf(error).split('\n')[0] ?? ''}`;
  }
}
