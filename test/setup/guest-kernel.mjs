import { cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GUEST } from './paths.mjs';
import { capture, run } from './run.mjs';
import { SetupError, say } from './report.mjs';

/** Debian's kernel for virtual machines: this package depends on the newest version of it. */
const META_PACKAGE = 'linux-image-cloud-amd64';

/**
 * Modules of the kernel that guests with virtio devices need, in the order in which they load,
 * as paths below `kernel/`.
 */
export const MODULES = [
  'drivers/virtio/virtio_ring.ko',
  'drivers/virtio/virtio.ko',
  'drivers/virtio/virtio_pci_legacy_dev.ko',
  'drivers/virtio/virtio_pci_modern_dev.ko',
  'drivers/virtio/virtio_pci.ko',
  'drivers/block/virtio_blk.ko',
  'net/core/failover.ko',
  'drivers/net/net_failover.ko',
  'drivers/net/virtio_net.ko',
  'drivers/virtio/virtio_balloon.ko',
  'drivers/char/hw_random/virtio-rng.ko',
];

/** Fetches kernel and modules without installing them; answers what it did, or null. */
export async function fetchGuestKernel() {
  const kernel = join(GUEST, 'vmlinuz');
  // Written last, so it is there only when the modules are, too.
  if (existsSync(kernel)) return null;

  const versioned = (await findVersionedPackage()) ?? (await findAfterUpdate());
  say(`Fetching the guest kernel (${versioned}; it is unpacked below .cache, not installed).`);
  const scratch = await mkdtemp(join(tmpdir(), 'umem-kernel-'));
  try {
    await download(versioned, scratch);
    const archive = (await readdir(scratch)).find((name) => name.endsWith('.deb'));
    await run('dpkg-deb', ['-x', join(scratch, archive), join(scratch, 'root')]);
    await take(join(scratch, 'root'));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return 'guest kernel';
}

async function findVersionedPackage() {
  const output = await capture('apt-cache', ['depends', '--important', META_PACKAGE]);
  return /Depends: (linux-image-\S+)/.exec(output ?? '')?.[1] ?? null;
}

async function findAfterUpdate() {
  await refresh();
  const found = await findVersionedPackage();
  if (found === null) throw new SetupError(`apt knows no package ${META_PACKAGE}: is this Debian on amd64?`);
  return found;
}

async function download(name, folder) {
  if (await run('apt-get', ['download', name], { cwd: folder, mayFail: true })) return;
  // Most likely the package list is older than the mirror.
  await refresh();
  await run('apt-get', ['download', name], { cwd: folder });
}

async function refresh() {
  if (process.getuid() !== 0) {
    throw new SetupError(
      "apt's package lists are missing or out of date. Run this, then the same command again:\n\n  sudo apt-get update\n",
    );
  }
  await run('apt-get', ['update']);
}

async function take(root) {
  const boot = join(root, 'boot');
  const image = (await readdir(boot)).find((name) => name.startsWith('vmlinuz-'));
  const version = image.slice('vmlinuz-'.length);
  const modules = join(GUEST, 'modules');
  await rm(modules, { recursive: true, force: true });
  await mkdir(modules, { recursive: true });
  for (const module of MODULES) {
    await cp(join(root, 'lib/modules', version, 'kernel', module), join(modules, module.split('/').at(-1)));
  }
  await cp(join(boot, image), join(GUEST, 'vmlinuz.new'));
  await rename(join(GUEST, 'vmlinuz.new'), join(GUEST, 'vmlinuz'));
}
