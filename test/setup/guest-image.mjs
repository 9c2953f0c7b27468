import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MODULES } from './guest-kernel.mjs';
import { GUEST, ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { say } from './report.mjs';

const SOURCES = join(ROOT, 'test/guest');
const WORKLOAD = join(SOURCES, 'workload');
const BUSYBOX = '/bin/busybox';
const CFLAGS = '-std=c17 -D_DEFAULT_SOURCE -O2 -static -pthread -Wall -Wextra -Werror'.split(' ');

/**
 * Packs the guest's initramfs from busybox, the workload and the kernel's modules, unless the one
 * in the cache was made from the same; answers what it did, or null.
 */
export async function buildGuestImage() {
  const image = join(GUEST, 'initrd.cpio');
  const keyFile = join(GUEST, 'initrd.key');
  const key = await hashInputs();
  const cachedKey = await readFile(keyFile, 'utf8').catch(() => null);
  if (cachedKey === key) return null;

  say('Building the guest image.');
  const scratch = await mkdtemp(join(tmpdir(), 'umem-guest-'));
  try {
    await populate(join(scratch, 'root'));
    // Not compressed: QEMU loads it at once, and an emulated CPU would take long to unpack it.
    const pack = `find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible >../initrd.cpio`;
    await run('sh', ['-c', pack], { cwd: join(scratch, 'root') });
    await rm(keyFile, { force: true });
    await cp(join(scratch, 'initrd.cpio'), `${image}.new`);
    await rename(`${image}.new`, image);
    await writeFile(keyFile, key);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return 'guest image';
}

async function hashInputs() {
  const hash = createHash('sha256');
  const files = [
    BUSYBOX,
    join(SOURCES, 'init.sh'),
    ...(await workloadFiles()),
    ...MODULES.map((module) => join(GUEST, 'modules', module.split('/').at(-1))),
  ];
  hash.update(CFLAGS.join(' '));
  for (const file of files) hash.update(`\n${file}\n`).update(await readFile(file));
  return hash.digest('hex');
}

async function workloadFiles() {
  const names = await readdir(WORKLOAD);
  return names
    .filter((name) => /\.[ch]$/.test(name))
    .sort()
    .map((name) => join(WORKLOAD, name));
}

async function populate(root) {
  for (const folder of ['bin', 'dev', 'proc', 'sys']) await mkdir(join(root, folder), { recursive: true });
  await cp(BUSYBOX, join(root, 'bin/busybox'));
  await cp(join(SOURCES, 'init.sh'), join(root, 'init'));
  await chmod(join(root, 'init'), 0o755);
  await cp(join(GUEST, 'modules'), join(root, 'modules'), { recursive: true });
  await writeFile(
    join(root, 'modules/order'),
    MODULES.map((module) => `${module.split('/').at(-1)}\n`).join(''),
  );
  const sources = (await workloadFiles()).filter((file) => file.endsWith('.c'));
  await run('gcc', [...CFLAGS, '-o', join(root, 'bin/workload'), ...sources]);
}
