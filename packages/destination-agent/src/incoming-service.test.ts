import { IncomingState, UmemState } from '@umem/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from './testing/lab.js';

describe('a move', () => {
  let lab: Lab;
  beforeEach(async () => {
    lab = await Lab.start();
  });
  afterEach(() => lab.close());

  it('with a launched VMM goes from PREPARED to COMPLETED and the guest runs on', async () => {
    const { vm, pages } = await lab.source({ ram0: 4 << 20, ram1: 1 << 20 });
    await lab.writeProfile('guest', vm.blocks);
    const prepared = await lab.prepare('vm1', vm.blocks, 'guest');
    expect(prepared).toMatchObject({
      state: IncomingState.PREPARED,
      migrationId: '',
      guestRecoverable: false,
    });
    expect(prepared.vmmPid).toBeGreaterThan(0);
    const connected = await lab.connect('vm1', pages);
    expect(connected).toMatchObject({ state: IncomingState.CONNECTED, migrationId: 'mig-1' });
    const loaded = await lab.load('vm1', 'mig-1', await vm.save());
    expect(loaded).toMatchObject({ state: IncomingState.LOADED, resumedAtUnixUs: 0n });
    const completed = lab.until('vm1', IncomingState.COMPLETED);
    const resumed = await lab.resume('vm1', 'mig-1');
    expect(resumed.state).toBe(IncomingState.RESUMED);
    expect(Number(resumed.resumedAtUnixUs / 1000n)).toBeCloseTo(Date.now(), -5);
    pages.push();
    const { stats, umemState } = await completed;
    expect(umemState).toBe(UmemState.RELEASED);
    expect(stats).toMatchObject({ totalPages: 1280n, remainingPages: 0n });
    await pages.eoc();
  });

  it('with a VMM that a control plane has launched arrives without a wrong byte', async () => {
    const { vm, pages } = await lab.source();
    const prepared = await lab.prepare('vm1', vm.blocks);
    expect(prepared.vmmPid).toBe(0);
    expect(Object.keys(prepared.env).sort()).toEqual(['LD_PRELOAD', 'UMEM_HANDOFF', 'UMEM_RAM']);
    const guest = await lab.launch(prepared);
    await lab.connect('vm1', pages);
    await lab.load('vm1', 'mig-1', await vm.save());
    const completed = lab.until('vm1', IncomingState.COMPLETED);
    await lab.resume('vm1', 'mig-1');
    const running = await guest.waitForTick();
    expect(running.mismatches).toBe(0);
    pages.push();
    await completed;
    expect(await guest.verifyAll()).toMatchObject({ pages: 1024, mismatches: 0 });
    expect(await lab.remains()).toMatchObject({ ram: ['vm1'], run: ['vm1'] });
  });
});
