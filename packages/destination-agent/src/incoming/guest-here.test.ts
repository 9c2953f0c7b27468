import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { IncomingState } from '@umem/api';
import { Internal, WrongState } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTimeOf } from '../launch/process-watch.js';
import { Lab, NOTHING } from '../testing/lab.js';
import { QmpProxy, type ContAnswer } from '../testing/qmp-proxy.js';

describe('a VMM that is told to resume', () => {
  let lab: Lab;
  let proxy: QmpProxy | null = null;
  const files: FileHandle[] = [];
  beforeEach(async () => {
    lab = await Lab.start();
  });
  afterEach(async () => {
    proxy?.stop();
    for (const file of files.splice(0)) await file.close();
    await lab.close();
  });

  /** A VM in LOADED whose VMM answers `cont` as given. */
  const bring = async (cont: ContAnswer) => {
    const { vm, pages } = await lab.source();
    const prepared = await lab.prepare('vm1', vm.blocks);
    const vmmPath = join(lab.dir, 'real.qmp');
    const guest = await lab.launch({ ...prepared, qmpPath: vmmPath });
    // Whoever listens for QMP is taken for the VMM, and must have its RAM open.
    for (const { path } of prepared.ram) files.push(await open(path));
    proxy = await QmpProxy.start(prepared.qmpPath, vmmPath, cont);
    await lab.connect('vm1', pages);
    await lab.load('vm1', 'mig-1', await vm.save());
    return guest;
  };

  it('and refuses has not run: the source gets WrongState and everything is undone', async () => {
    const guest = await bring({ error: { class: 'GenericError', desc: 'reset first' } });
    await expect(lab.resume('vm1', 'mig-1')).rejects.toThrow(WrongState);
    expect(await lab.get('vm1')).toMatchObject({
      state: IncomingState.FAILED,
      guestRecoverable: true,
      error: expect.stringContaining('reset first'),
    });
    await expect(lab.resume('vm1', 'mig-1')).rejects.toThrow(WrongState);
    expect(await guest.exited).toMatchObject({ code: 0 });
    await lab.abort('vm1', 'mig-1');
    expect(await lab.remains()).toEqual(NOTHING);
  });

  it('and is found stopped afterwards may have run: nobody may take that for a refusal', async () => {
    const guest = await bring({ return: {} });
    await expect(lab.resume('vm1', 'mig-1')).rejects.toThrow(Internal);
    expect(await lab.get('vm1')).toMatchObject({ state: IncomingState.FAILED, guestRecoverable: false });
    expect((await lab.resume('vm1', 'mig-1')).state).toBe(IncomingState.FAILED);
    await expect(lab.abort('vm1', 'mig-1')).rejects.toThrow(WrongState);
    expect(await startTimeOf(guest.pid)).not.toBeNull();
  });

  it('and dies before it answers may have run', async () => {
    const { vmmPid } = await lab.bring('vm1', 'LOADED');
    process.kill(vmmPid, 'SIGSTOP');
    const resuming = lab.resume('vm1', 'mig-1');
    resuming.catch(() => {});
    // It is on its way once the agent answers a call that was made after it.
    expect((await lab.get('vm1')).state).toBe(IncomingState.LOADED);
    process.kill(vmmPid, 'SIGKILL');
    await expect(resuming).rejects.toThrow(Internal);
    expect(await lab.get('vm1')).toMatchObject({ state: IncomingState.FAILED, guestRecoverable: false });
    await expect.poll(() => lab.remains(), { timeout: 10_000 }).toEqual(NOTHING);
  });

  it('after its QMP connection broke cannot be told, and that is certain', async () => {
    const guest = await bring(null);
    const watching = lab.watch('vm1');
    proxy?.stop();
    expect((await watching).at(-1)).toMatchObject({ state: IncomingState.FAILED, guestRecoverable: true });
    await expect(lab.resume('vm1', 'mig-1')).rejects.toThrow(WrongState);
    expect(guest.lastTick).toBeNull();
  });
});
