import { IncomingState, UmemState } from '@umem/api';
import { AlreadyExists, NotFound, WrongState } from '@umem/errors';
import { connectQemu } from '@umem/vmm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTimeOf, watchProcess } from '../launch/process-watch.js';
import { Lab, NOTHING } from '../testing/lab.js';

describe('after the guest was resumed', () => {
  let lab: Lab;
  beforeEach(async () => {
    lab = await Lab.start({ sourceLossGrace: '100ms', incomingTimeout: '5s' });
  });
  afterEach(() => lab.close());

  /** Kills a VMM; resolves when it has ended and its agent has had the chance to notice. */
  const kill = async (pid: number): Promise<void> => {
    process.kill(pid, 'SIGKILL');
    await new Promise<void>((resolve) => watchProcess(pid, resolve, 5));
  };

  it('asking again answers how it stands, and abort is refused', async () => {
    const { pages } = await lab.bring('vm1', 'RESUMED');
    const again = await Promise.all([lab.resume('vm1', 'mig-1'), lab.resume('vm1', 'mig-1')]);
    for (const incoming of again) expect(incoming.state).toBe(IncomingState.RESUMED);
    await expect(lab.abort('vm1', 'mig-1')).rejects.toThrow(WrongState);
    await expect(lab.forget('vm1')).rejects.toThrow(WrongState);
    pages.push();
    await lab.until('vm1', IncomingState.COMPLETED);
    expect((await lab.resume('vm1', 'mig-1')).state).toBe(IncomingState.COMPLETED);
    await expect(lab.abort('vm1', 'mig-1')).rejects.toThrow(WrongState);
    await expect(lab.resume('vm1', 'mig-0')).rejects.toThrow(NotFound);
  });

  it('an abort that came after the resume in the same moment has changed nothing', async () => {
    const { vmmPid } = await lab.bring('vm1', 'LOADED');
    const [resumed, aborted] = await Promise.allSettled([
      lab.resume('vm1', 'mig-1'),
      lab.abort('vm1', 'mig-1'),
    ]);
    expect(resumed).toMatchObject({ value: { state: IncomingState.RESUMED } });
    expect(aborted).toMatchObject({ reason: expect.any(WrongState) });
    expect(await startTimeOf(vmmPid)).not.toBeNull();
  });

  it('a completed VM gives QMP free, blocks its name while its VMM lives, and goes with it', async () => {
    const { vm, pages, vmmPid } = await lab.bring('vm1', 'RESUMED');
    pages.push();
    const { qmpPath } = await lab.until('vm1', IncomingState.COMPLETED);
    const vmm = await connectQemu(qmpPath);
    expect(await vmm.runState()).toBe('running');
    vmm.close();
    await expect(lab.prepare('vm1', vm.blocks)).rejects.toThrow(/COMPLETED and its VMM has not exited/);
    await lab.forget('vm1');
    await expect(lab.get('vm1')).rejects.toThrow(NotFound);
    expect(await lab.remains()).toEqual({ ram: ['vm1'], run: ['vm1'], umems: [] });
    await expect(lab.prepare('vm1', vm.blocks)).rejects.toThrow(AlreadyExists);
    await kill(vmmPid);
    await expect.poll(() => lab.remains()).toEqual(NOTHING);
    await lab.prepare('vm1', vm.blocks);
    await lab.abort('vm1');
  });

  it('a VMM of somebody else is noticed when it exits, too', async () => {
    const { vm, pages } = await lab.source();
    const guest = await lab.launch(await lab.prepare('vm1', vm.blocks));
    await lab.connect('vm1', pages);
    await lab.load('vm1', 'mig-1', await vm.save());
    await lab.resume('vm1', 'mig-1');
    pages.push();
    await lab.until('vm1', IncomingState.COMPLETED);
    await guest.kill();
    await expect.poll(() => lab.remains(), { timeout: 10_000 }).toEqual(NOTHING);
    expect((await lab.get('vm1')).state).toBe(IncomingState.COMPLETED);
    await lab.forget('vm1');
  });

  it('lost pages stop the guest and do not kill it; the message counts them', async () => {
    const { vm, pages } = await lab.source();
    const guest = await lab.launch(await lab.prepare('vm1', vm.blocks));
    await lab.connect('vm1', pages);
    await lab.load('vm1', 'mig-1', await vm.save());
    await lab.resume('vm1', 'mig-1');
    pages.refuse('the source is gone');
    const lost = (await lab.watch('vm1')).at(-1);
    expect(lost).toMatchObject({ state: IncomingState.FAILED, guestRecoverable: false });
    expect(lost?.error).toMatch(/\(\d+ pages are missing\)\. The guest /);
    expect(await startTimeOf(guest.pid)).not.toBeNull();
    expect((await lab.resume('vm1', 'mig-1')).state).toBe(IncomingState.FAILED);
    await expect(lab.abort('vm1', 'mig-1')).rejects.toThrow(WrongState);
    await lab.forget('vm1');
    expect(await lab.remains()).toMatchObject({ ram: ['vm1'] });
    await guest.kill();
    await expect.poll(() => lab.remains(), { timeout: 10_000 }).toEqual(NOTHING);
  });

  it('a VMM that dies is a lost guest, and its remains go', async () => {
    const { vmmPid } = await lab.bring('vm1', 'RESUMED');
    const watching = lab.watch('vm1');
    await kill(vmmPid);
    expect((await watching).at(-1)).toMatchObject({
      state: IncomingState.FAILED,
      guestRecoverable: false,
      error: expect.stringContaining('The VMM was ended by SIGKILL'),
    });
    await expect.poll(() => lab.remains()).toEqual(NOTHING);
  });

  it('lanes that are lost for long, and silence, undo nothing', async () => {
    const { vmmPid, pages } = await lab.bring('vm1', 'RESUMED');
    pages.cut();
    await lab.watch('vm1', ({ umemState }) => umemState !== UmemState.ARMED);
    expect((await lab.get('vm1')).state).toBe(IncomingState.RESUMED);
    expect(await startTimeOf(vmmPid)).not.toBeNull();
  });

  it('a page server that dies is reported, and the guest left alone', async () => {
    const { vmmPid } = await lab.bring('vm1', 'RESUMED');
    const watching = lab.watch('vm1', ({ pageServerLost }) => pageServerLost);
    await lab.pageServer.stop('SIGKILL');
    expect((await watching).at(-1)).toMatchObject({ state: IncomingState.RESUMED, pageServerLost: true });
    expect(await startTimeOf(vmmPid)).not.toBeNull();
  });

  it('an agent that stops tells its watchers and leaves the guest running', async () => {
    const { vmmPid } = await lab.bring('vm1', 'RESUMED');
    const watching = lab.watch('vm1');
    await lab.watch('vm1', () => true);
    await lab.stopAgent();
    expect((await watching).at(-1)).toMatchObject({ state: IncomingState.RESUMED, pageServerLost: true });
    expect(await startTimeOf(vmmPid)).not.toBeNull();
    expect((await lab.remains()).ram).toEqual(['vm1']);
  });
});
