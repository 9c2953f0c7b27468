import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IncomingState, Placement } from '@umem/api';
import { AlreadyExists, HostPrecondition, InvalidArgument, NotFound, Overloaded } from '@umem/errors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, NOTHING } from '../testing/lab.js';

const MIB = 2 ** 20;

describe('PrepareIncoming', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ maxIncoming: 3, maxRam: '64MiB' });
  });
  afterAll(() => lab.close());

  it('makes RAM files, umem set and environment, and says where QMP belongs', async () => {
    const incoming = await lab.prepare('ready', [lab.block('ram0', 2 * MIB), lab.block('ram1')]);
    expect(incoming).toMatchObject({
      name: 'ready',
      state: IncomingState.PREPARED,
      qmpPath: join(lab.dir, 'da/incoming/ready/qmp.sock'),
      ram: [{ path: join(lab.ramDir, 'ready/ram0') }, { path: join(lab.ramDir, 'ready/ram1') }],
    });
    expect(incoming.env['UMEM_RAM']).toBe(`ram0=${lab.ramDir}/ready/ram0:ram1=${lab.ramDir}/ready/ram1`);
    expect(await lab.remains()).toEqual({ ram: ['ready'], run: ['ready'], umems: ['ready'] });
    await expect(lab.prepare('ready', [lab.block()])).rejects.toThrow(AlreadyExists);
    await lab.abort('ready');
    expect(await lab.remains()).toEqual(NOTHING);
  });

  it.each(['../x', '..', '.', '', 'a/b', '/etc', 'a\0b', '-a', 'ä', 'x'.repeat(64)])(
    'refuses the name %j',
    async (name) => {
      await expect(lab.prepare(name, [lab.block()])).rejects.toThrow(InvalidArgument);
      await expect(lab.preflight(name, [lab.block()])).rejects.toThrow(InvalidArgument);
    },
  );

  it.each(['../ram0', '..', '', 'a/b', 'a=b', 'a:b', '*'])('refuses the block id %j', async (blockId) => {
    await expect(lab.prepare('vm', [lab.block(blockId)])).rejects.toThrow(InvalidArgument);
  });

  it('refuses blocks that cannot be RAM', async () => {
    await expect(lab.prepare('vm', [])).rejects.toThrow(InvalidArgument);
    await expect(lab.prepare('vm', [lab.block('ram0', 4097)])).rejects.toThrow(InvalidArgument);
    const many = Array.from({ length: 257 }, (_, i) => lab.block(`ram${i}`, 4096));
    await expect(lab.prepare('vm', many)).rejects.toThrow(/257 RAM blocks: at most 256/);
    await expect(lab.prepare('vm', [lab.block(), lab.block()])).rejects.toThrow(/listed twice/);
    await expect(
      lab.prepare('vm', [{ ...lab.block('ram0', 3 * MIB), hostPageSizeBytes: 2 * MIB }]),
    ).rejects.toThrow(/multiple of 2097152/);
  });

  it('takes RAM from huge pages into ordinary ones where it has no others', async () => {
    const huge = { ...lab.block('ram0', 2 * MIB), hostPageSizeBytes: 2 * MIB };
    const incoming = await lab.prepare('from-huge', [huge]);
    expect(incoming.ram).toMatchObject([{ block: { hostPageSizeBytes: 4096n } }]);
    await lab.abort('from-huge');
  });

  it('refuses placements and flags that it does not know, and flags without placement cache', async () => {
    const prepare = (placement: number, postcopyFlags: number) =>
      lab.prepare('vm', [lab.block()], '', { placement, postcopyFlags });
    await expect(prepare(3, 0)).rejects.toThrow(/placement is 3/);
    await expect(prepare(Placement.CACHE, 2)).rejects.toThrow(/postcopy_flags is 2/);
    await expect(prepare(Placement.COPY, 1)).rejects.toThrow(/CACHE/);
    await expect(prepare(3, 0)).rejects.toThrow(InvalidArgument);
  });

  it('refuses placement copy for devices of other processes, and takes placement cache', async () => {
    const vhostUserDevices = ['disk0 (vhost-user-blk-pci)'];
    await expect(lab.prepare('vhost', [lab.block()], '', { vhostUserDevices })).rejects.toThrow(
      /disk0 \(vhost-user-blk-pci\).*--placement cache.*\[vhost-user\]/,
    );
    const incoming = await lab.prepare('vhost', [lab.block()], '', {
      vhostUserDevices,
      placement: Placement.CACHE,
    });
    expect(incoming.placement).toBe(Placement.CACHE);
    await lab.abort('vhost');
  });

  it('refuses a RAM file that exists and leaves it as it is', async () => {
    await mkdir(join(lab.ramDir, 'taken'));
    await writeFile(join(lab.ramDir, 'taken/ram0'), 'precious');
    await expect(lab.prepare('taken', [lab.block()])).rejects.toThrow(/ram0 exists.*rm /);
    expect(await readFile(join(lab.ramDir, 'taken/ram0'), 'utf8')).toBe('precious');
  });

  it('follows no symbolic link that waits in the RAM directory', async () => {
    await mkdir(join(lab.dir, 'victim'));
    await symlink(join(lab.dir, 'victim'), join(lab.ramDir, 'linked'));
    await expect(lab.prepare('linked', [lab.block()])).rejects.toThrow(AlreadyExists);
    expect(await readdir(join(lab.dir, 'victim'))).toEqual([]);
  });

  it('says no more than so many VMs and so much RAM come in at a time', async () => {
    await expect(lab.prepare('big', [lab.block('ram0', 65 * MIB)])).rejects.toThrow(Overloaded);
    await expect(lab.prepare('big', [lab.block('ram0', 65 * MIB)])).rejects.toThrow(
      /65 MiB of RAM.*--max-ram is 64 MiB/,
    );
    for (const name of ['a', 'b', 'c']) await lab.prepare(name, [lab.block()]);
    await expect(lab.prepare('d', [lab.block()])).rejects.toThrow(/3 VMs are coming in.*--max-incoming is 3/);
    const { checks } = await lab.preflight('d', [lab.block()]);
    expect(checks.filter(({ passed }) => !passed).map(({ check }) => check)).toEqual(['name-and-limits']);
    for (const name of ['a', 'b', 'c']) await lab.abort(name);
  });

  it('counts requests that come at the same time', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const outcomes = await Promise.allSettled(names.map((name) => lab.prepare(name, [lab.block()])));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    for (const { name } of await lab.list()) await lab.abort(name);
    const same = await Promise.allSettled([1, 2, 3].map(() => lab.prepare('a', [lab.block()])));
    expect(same.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await lab.abort('a');
  });

  it('refuses a profile that is missing, outside of the directory or broken', async () => {
    await expect(lab.prepare('vm', [lab.block()], 'none')).rejects.toThrow(NotFound);
    await expect(lab.prepare('vm', [lab.block()], '../../etc/passwd')).rejects.toThrow(InvalidArgument);
    await lab.writeRawProfile('broken', { comand: 'x' });
    await expect(lab.prepare('vm', [lab.block()], 'broken')).rejects.toThrow(HostPrecondition);
  });

  it.each([
    ['prealloc=on', ['-object', 'memory-backend-file,id=ram0,prealloc=on,share=on'], /Drop prealloc=on/],
    ['mem-lock=on', ['-overcommit', 'mem-lock=on'], /Drop mem-lock=on/],
    ['an unknown placeholder', ['${ram.ram9.path}'], /unknown placeholder \$\{ram\.ram9\.path\}/],
  ])('refuses a profile with %s, naming what to change', async (_, args, message) => {
    await lab.writeRawProfile('bad', { command: 'sh', args });
    await expect(lab.prepare('vm', [lab.block()], 'bad')).rejects.toThrow(message);
    const { checks } = await lab.preflight('vm', [lab.block()], 'bad');
    expect(checks.find(({ passed }) => !passed)).toMatchObject({ check: 'vmm-options' });
  });

  it('refuses a profile whose VMM is not there', async () => {
    await lab.writeRawProfile('absent', { command: '/no/such/qemu' });
    await expect(lab.prepare('vm', [lab.block()], 'absent')).rejects.toThrow(
      /"\/no\/such\/qemu".*Install it/,
    );
  });

  it('refuses a profile whose user does not exist, and preflight says so', async () => {
    await lab.writeRawProfile('nobody-knows', { command: 'sh', user: 'no-such-user' });
    await expect(lab.prepare('vm', [lab.block()], 'nobody-knows')).rejects.toThrow(/"no-such-user"/);
    const { checks } = await lab.preflight('vm', [lab.block()], 'nobody-knows');
    expect(checks.filter(({ passed }) => !passed)).toMatchObject([{ check: 'vmm-user' }]);
  });

  it('leaves nothing behind after all these refusals', async () => {
    expect(await lab.remains()).toEqual({ ram: ['linked', 'taken'], run: [], umems: [] });
    expect(await lab.list()).toEqual([]);
  });

  it('quotes the last words of a VMM that exits early, and cleans up', async () => {
    await lab.writeRawProfile('early', {
      command: 'sh',
      args: ['-c', 'echo "no such machine: pc-q36"; exit 7'],
    });
    await lab.prepare('early', [lab.block()], 'early');
    const seen = await lab.watch('early');
    expect(seen.at(-1)).toMatchObject({ state: IncomingState.FAILED, guestRecoverable: true });
    expect(seen.at(-1)?.error).toMatch(
      /The VMM of "early" exited with code 7; its last words: no such machine: pc-q36/,
    );
    const pages = await lab.pages('mig-1', [lab.block()]);
    await expect(lab.connect('early', pages)).rejects.toThrow(/exited with code 7/);
    await lab.prepare('early', [lab.block()]);
    await lab.abort('early');
    expect(await lab.remains()).toMatchObject({ run: [], umems: [] });
  });
});

describe('a host with another configuration', () => {
  it('that has lost its page server passes no preflight and prepares nothing', async () => {
    const lab = await Lab.start();
    try {
      await lab.pageServer.stop();
      const { checks } = await lab.preflight('vm', [lab.block()]);
      const failed = checks.filter(({ passed }) => !passed);
      expect(failed).toMatchObject([
        { check: 'page-server', fix: expect.stringContaining('Start umem-page-server') },
      ]);
      await expect(lab.prepare('vm', [lab.block()])).rejects.toThrow(HostPrecondition);
      expect(await readdir(lab.ramDir)).toEqual([]);
    } finally {
      await lab.close();
    }
  });

  it('answers every check in preflight, each with a finding', async () => {
    const lab = await Lab.start();
    try {
      const { checks } = await lab.preflight('vm', [lab.block()]);
      expect(checks.map(({ check }) => check)).toEqual([
        'profile',
        'vmm-user',
        'kernel',
        'userfaultfd',
        'preload-library',
        'page-server',
        'ram-dir',
        'ram-space',
        'host-page-size',
        'transparent-huge-pages',
        'vhost-user',
        'socket-path',
        'name-and-limits',
      ]);
      for (const { passed, finding, fix } of checks) {
        expect(finding).not.toBe('');
        expect(fix === '').toBe(passed);
      }
      expect(await lab.remains()).toEqual(NOTHING);
    } finally {
      await lab.close();
    }
  });
});
