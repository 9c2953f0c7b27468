import { closeSync, readSync } from 'node:fs';
import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { HostPrecondition, PeerUnavailable } from '@umem/errors';
import { fileMachine, MiB, startQemu } from '../testing/qemu.js';
import { Scratch } from '../testing/scratch.js';
import type { Vmm } from '../vmm.js';
import { connectQemu } from './connect-qemu.js';

const scratch = new Scratch();
afterEach(() => scratch.clean());

async function connect(qmpPath: string): Promise<Vmm> {
  const vmm = await connectQemu(qmpPath, { timeoutMs: 20_000 });
  scratch.defer(() => vmm.close());
  return vmm;
}

/** Starts a QEMU that does not run yet and connects to it. */
async function start(args: readonly string[], qmpPath?: string) {
  const qemu = startQemu(scratch, qmpPath ?? (await scratch.path('qmp')), ['-S', ...args]);
  return { qemu, vmm: await connect(qemu.qmpPath) };
}

function memfd(id: string, sizeMiB: number): string[] {
  return ['-object', `memory-backend-memfd,id=${id},size=${sizeMiB}M,share=on`];
}

/** First bytes of a block, as the agent reads them. */
async function readStart(vmm: Vmm, blockIndex: number, length: number, position = 0): Promise<Buffer> {
  const block = (await vmm.describe()).blocks[blockIndex];
  if (block === undefined) throw new Error('no such block');
  const fd = await vmm.openRam(block);
  try {
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, position);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

describe('RAM discovery on QEMU', () => {
  it('finds a shared file, its size, the version and the process', async () => {
    const path = await scratch.path('ram0');
    const { qemu, vmm } = await start(fileMachine(path));
    expect(await vmm.describe()).toEqual({
      version: expect.stringMatching(/^QEMU \d+\.\d+\.\d+$/) as string,
      pid: qemu.pid,
      blocks: [
        { blockId: 'ram0', sizeBytes: 64 * MiB, hostPageSizeBytes: 4096, backing: { kind: 'file', path } },
      ],
      vhostUserDevices: [],
    });
    expect(await vmm.runState()).toBe('stopped');
    await writeFile(path, 'guest bytes', { flag: 'r+' });
    expect((await readStart(vmm, 0, 11)).toString()).toBe('guest bytes');
  });

  it('finds a memfd through the process', async () => {
    const { qemu, vmm } = await start(['-M', 'q35,memory-backend=m', '-m', '32M', ...memfd('m', 32)]);
    const { blocks } = await vmm.describe();
    expect(blocks).toMatchObject([{ blockId: 'm', backing: { kind: 'memfd', pid: qemu.pid } }]);
    expect(await readStart(vmm, 0, 4)).toEqual(Buffer.alloc(4));
  });

  it('tells memfds of one size apart by their addresses', async () => {
    const { vmm } = await start([
      ...['-M', 'q35', '-m', '64M', '-smp', '2', ...memfd('n0', 32), ...memfd('n1', 32)],
      ...['-numa', 'node,memdev=n1,cpus=1', '-numa', 'node,memdev=n0,cpus=0'],
      // Puts a mark into guest memory: node 0 is n1 here.
      ...['-device', 'loader,addr=0x100000,data=0x21656e6f,data-len=4'],
    ]);
    const { blocks } = await vmm.describe();
    expect(blocks.map(({ blockId }) => blockId)).toEqual(['n0', 'n1']);
    const marks = [await readStart(vmm, 0, 4, 0x100000), await readStart(vmm, 1, 4, 0x100000)];
    expect(marks.map(String)).toEqual(['\0\0\0\0', 'one!']);
  });

  it('finds RAM that was plugged in as a DIMM', async () => {
    const path = await scratch.path('ram0');
    const { vmm } = await start([
      ...fileMachine(path),
      ...['-m', '64M,slots=2,maxmem=256M', ...memfd('dimm0', 128), '-device', 'pc-dimm,id=d0,memdev=dimm0'],
    ]);
    expect((await vmm.describe()).blocks).toMatchObject([
      { blockId: 'dimm0', sizeBytes: 128 * MiB, backing: { kind: 'memfd' } },
      { blockId: 'ram0', sizeBytes: 64 * MiB, backing: { kind: 'file', path } },
    ]);
  });

  it('finds a nameless file that QEMU made in a directory', async () => {
    const directory = await scratch.directory();
    const { qemu, vmm } = await start(fileMachine(directory));
    expect((await vmm.describe()).blocks).toMatchObject([{ backing: { kind: 'memfd', pid: qemu.pid } }]);
    expect(await readStart(vmm, 0, 1)).toEqual(Buffer.alloc(1));
  });

  it('finds a file whose name has been removed', async () => {
    const path = await scratch.path('ram0');
    const { qemu, vmm } = await start(fileMachine(path));
    await rm(path);
    expect((await vmm.describe()).blocks).toMatchObject([{ backing: { kind: 'memfd', pid: qemu.pid } }]);
  });

  it('reads the file that QEMU has, not another that took its name', async () => {
    const path = await scratch.path('ram0');
    const { vmm } = await start(fileMachine(path));
    await rename(path, `${path}.moved`);
    await writeFile(path, '');
    await truncate(path, 64 * MiB);
    await expect(vmm.describe()).rejects.toThrow(
      /does not have RAM file .* open: somebody may have replaced it|replaced the file/,
    );
  });

  it('finds the process and the file when both were given as relative paths', async () => {
    const directory = await scratch.directory();
    await mkdir(join(directory, 'vm'));
    const qmpPath = join(directory, 'vm', 'qmp');
    const qemu = startQemu(scratch, 'vm/qmp', ['-S', ...fileMachine('vm/ram0')], directory);
    const vmm = await connect(qmpPath);
    expect(await vmm.describe()).toMatchObject({ pid: qemu.pid, blocks: [{ backing: { kind: 'memfd' } }] });
    expect(dirname(qmpPath)).toBe(join(directory, 'vm'));
  });

  it('refuses to open a block whose file has become too short', async () => {
    const path = await scratch.path('ram0');
    const { vmm } = await start(fileMachine(path));
    const [block] = (await vmm.describe()).blocks;
    if (block === undefined) throw new Error('no block');
    await truncate(path, 4096);
    await expect(vmm.openRam(block)).rejects.toThrow(/has 4096 bytes, but RAM block "ram0" has 67108864/);
    await rm(path);
    await expect(vmm.openRam(block)).rejects.toThrow(HostPrecondition);
  });
});

describe('QEMU guests that cannot move', () => {
  it.each([
    [
      'plain -m',
      ['-M', 'q35', '-m', '32M'],
      /"pc.ram" is a memory-backend-ram.*memory-backend-file,id=pc.ram/,
    ],
    [
      'a private file',
      [
        '-M',
        'q35,memory-backend=r',
        '-m',
        '32M',
        '-object',
        'memory-backend-file,id=r,size=32M,mem-path=/dev/shm',
      ],
      /"r" is private \(share=off\).*add share=on/,
    ],
    [
      'shared anonymous memory',
      ['-M', 'q35,memory-backend=r', '-m', '32M', '-object', 'memory-backend-ram,id=r,size=32M,share=on'],
      /"r" is a memory-backend-ram/,
    ],
    ['-mem-path', ['-M', 'q35', '-m', '32M', '-mem-path', '/dev/shm'], /"pc.ram" is private/],
    ['no RAM backend at all', ['-M', 'none'], /no memory backend|no shared|memory backend/],
  ])('are refused with %s', async (_, args, message) => {
    const { vmm } = await start(args);
    const described = vmm.describe();
    await expect(described).rejects.toThrow(HostPrecondition);
    await expect(described).rejects.toThrow(message);
  });

  it('are refused for the reasons that QEMU itself has', async () => {
    const path = await scratch.path('ram0');
    const { vmm } = await start([
      ...fileMachine(path),
      '-device',
      'ivshmem-plain,memdev=shm',
      ...memfd('shm', 1),
    ]);
    // A device without migration support: QEMU lists it among its blockers.
    await expect(vmm.describe()).rejects.toThrow(/refuses to migrate this guest: .*ivshmem/);
  });
});

describe('a QMP socket that another client holds', () => {
  it('is reported as such', async () => {
    const path = await scratch.path('ram0');
    const { qemu } = await start(fileMachine(path));
    const second = connectQemu(qemu.qmpPath, { timeoutMs: 300 });
    await expect(second).rejects.toThrow(PeerUnavailable);
    await expect(second).rejects.toThrow(/one client per QMP socket/);
  });
});
