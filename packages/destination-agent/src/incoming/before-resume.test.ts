import { IncomingState } from '@umem/api';
import { DeadlineExceeded, HostPrecondition, InvalidArgument, NotFound, WrongState } from '@umem/errors';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTimeOf } from '../launch/process-watch.js';
import { Lab, NOTHING } from '../testing/lab.js';

const NO_BYTES = Buffer.alloc(0);

describe('before the guest is resumed', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ sourceLossGrace: '200ms' });
  });
  afterAll(() => lab.close());
  afterEach(async () => {
    for (const { name, migrationId } of await lab.list()) await lab.abort(name, migrationId);
    expect(await lab.remains()).toEqual(NOTHING);
  });

  /** The last that a watcher sees of a VM that fails by itself. */
  const failed = async (name: string) => {
    const last = (await lab.watch(name)).at(-1);
    expect(last).toMatchObject({ state: IncomingState.FAILED, guestRecoverable: true, resumedAtUnixUs: 0n });
    return last?.error ?? '';
  };

  const refusesToResume = async (name: string, migrationId = 'mig-1') => {
    await expect(lab.resume(name, migrationId)).rejects.toThrow(WrongState);
  };

  describe('AbortIncoming', () => {
    it.each(['PREPARED', 'CONNECTED', 'LOADED'] as const)(
      'in %s ends the VMM and leaves nothing',
      async (state) => {
        const { vmmPid } = await lab.bring('vm1', state);
        const watching = lab.watch('vm1');
        await lab.abort('vm1', 'mig-1', 'changed my mind');
        expect((await watching).at(-1)).toMatchObject({
          error: 'Aborted: changed my mind',
          guestRecoverable: true,
        });
        expect(await startTimeOf(vmmPid)).toBeNull();
        expect(await lab.remains()).toEqual(NOTHING);
        await expect(lab.get('vm1')).rejects.toThrow(NotFound);
        await expect(lab.abort('vm1', 'mig-1')).rejects.toThrow(NotFound);
        await expect(lab.resume('vm1', 'mig-1')).rejects.toThrow(NotFound);
      },
    );

    it('in LOADING breaks the stream off', async () => {
      const { vmmPid } = await lab.bring('vm1', 'CONNECTED');
      const { stream, answer } = lab.openLoad();
      stream.write({ name: 'vm1', migrationId: 'mig-1', data: Buffer.from('half of it') });
      await lab.until('vm1', IncomingState.LOADING);
      await lab.abort('vm1', 'mig-1', 'enough');
      await expect(answer).rejects.toThrow('Aborted: enough');
      expect(await startTimeOf(vmmPid)).toBeNull();
    });

    it('while lanes and handoff are awaited breaks that off, too', async () => {
      await lab.prepare('vm1', [lab.block()]);
      const connecting = lab.connect('vm1', await lab.pages('mig-1', [lab.block()]));
      connecting.catch(() => {});
      await lab.watch('vm1', ({ migrationId }) => migrationId === 'mig-1');
      await lab.abort('vm1', 'mig-1', 'enough');
      await expect(connecting).rejects.toThrow('Aborted: enough');
    });

    it('of two at a time is one abort', async () => {
      await lab.bring('vm1', 'CONNECTED');
      await Promise.all([lab.abort('vm1', 'mig-1'), lab.abort('vm1', 'mig-1')]);
      expect(await lab.remains()).toEqual(NOTHING);
    });

    it('ends a VMM that somebody else has launched, connected or not', async () => {
      const guest = await lab.launch(await lab.prepare('vm1', [lab.block()]));
      await lab.abort('vm1');
      expect(await guest.exited).toMatchObject({ code: 0 });
    });

    it('of another migration, or of none, is refused', async () => {
      await lab.bring('vm1', 'CONNECTED');
      await expect(lab.abort('vm1', 'mig-0')).rejects.toThrow(NotFound);
      await expect(lab.abort('vm1', '')).rejects.toThrow(
        /only migration mig-1, which fills it, may abort it/,
      );
      expect((await lab.get('vm1')).state).toBe(IncomingState.CONNECTED);
    });

    it('of what is not there is NOT_FOUND', async () => {
      await expect(lab.abort('nobody')).rejects.toThrow(NotFound);
    });
  });

  describe('ConnectIncoming', () => {
    it('refuses RAM of other sizes, naming both, and leaves the VM prepared', async () => {
      await lab.prepare('vm1', [lab.block('ram0', 1 << 20)]);
      const pages = await lab.pages('mig-1', [lab.block('ram0', 2 << 20)]);
      await expect(lab.connect('vm1', pages)).rejects.toThrow(/1048576 bytes here and 2097152 bytes/);
      expect(await lab.get('vm1')).toMatchObject({ state: IncomingState.PREPARED, migrationId: '' });
    });

    it('passes the words of a source that refuses on, and cleans up', async () => {
      const { pages } = await lab.bring('vm1', 'PREPARED');
      pages.refuse('this migration was cancelled');
      await expect(lab.connect('vm1', pages)).rejects.toThrow(/this migration was cancelled/);
      expect(await failed('vm1')).toMatch(/this migration was cancelled/);
      await refusesToResume('vm1');
    });

    it('says which RAM nobody has mapped when no VMM comes', async () => {
      await lab.prepare('vm1', [lab.block()]);
      const connecting = lab.connect('vm1', await lab.pages('mig-1', [lab.block()]), { timeoutMs: 300 });
      await expect(connecting).rejects.toThrow(DeadlineExceeded);
      expect(await failed('vm1')).toMatch(/not handed its RAM over after 300 ms.*vm1\/ram0 with share=on/);
    });

    it('cleans up when its caller goes away', async () => {
      await lab.prepare('vm1', [lab.block()]);
      const gaveUp = new AbortController();
      const connecting = lab.connect('vm1', await lab.pages('mig-1', [lab.block()]), {
        signal: gaveUp.signal,
      });
      connecting.catch(() => {});
      await lab.watch('vm1', ({ migrationId }) => migrationId === 'mig-1');
      gaveUp.abort();
      expect(await failed('vm1')).toBe('The source gave up connecting');
    });

    it('happens once', async () => {
      const { pages } = await lab.bring('vm1', 'CONNECTED');
      await expect(lab.connect('vm1', pages)).rejects.toThrow(WrongState);
      expect((await lab.get('vm1')).state).toBe(IncomingState.CONNECTED);
    });

    it('happens once, also while the first is on its way', async () => {
      await lab.prepare('vm1', [lab.block()]);
      const pages = await lab.pages('mig-1', [lab.block()]);
      lab.connect('vm1', pages).catch(() => {});
      await lab.watch('vm1', ({ migrationId }) => migrationId === 'mig-1');
      await expect(lab.connect('vm1', pages)).rejects.toThrow(/migration mig-1 is connecting to it/);
    });

    it('needs a target', async () => {
      await lab.prepare('vm1', [lab.block()]);
      await expect(lab.connect('vm1', await lab.pages('', [lab.block()]))).rejects.toThrow(InvalidArgument);
    });
  });

  describe('LoadDeviceState', () => {
    it('without a name in its first message, or without any message, is INVALID_ARGUMENT', async () => {
      await lab.bring('vm1', 'CONNECTED');
      const nameless = lab.openLoad();
      nameless.stream.write({ name: '', migrationId: 'mig-1', data: Buffer.from('x') });
      await expect(nameless.answer).rejects.toThrow(InvalidArgument);
      const empty = lab.openLoad();
      empty.stream.end();
      await expect(empty.answer).rejects.toThrow(InvalidArgument);
      expect((await lab.get('vm1')).state).toBe(IncomingState.CONNECTED);
    });

    it('of another migration is NOT_FOUND and disturbs nothing', async () => {
      await lab.bring('vm1', 'CONNECTED');
      await expect(lab.load('vm1', 'mig-0', NO_BYTES)).rejects.toThrow(NotFound);
      await expect(lab.load('vm2', 'mig-1', NO_BYTES)).rejects.toThrow(NotFound);
      expect((await lab.get('vm1')).state).toBe(IncomingState.CONNECTED);
    });

    it('that changes the migration on its way is refused, and the VM cleaned up', async () => {
      await lab.bring('vm1', 'CONNECTED');
      const { stream, answer } = lab.openLoad();
      stream.write({ name: 'vm1', migrationId: 'mig-1', data: NO_BYTES });
      stream.write({ name: '', migrationId: 'mig-2', data: Buffer.from('x') });
      await expect(answer).rejects.toThrow(InvalidArgument);
      expect(await failed('vm1')).toMatch(/migration "mig-2".*migration "mig-1"/);
    });

    it('with a message of more than 1 MiB is refused', async () => {
      await lab.bring('vm1', 'CONNECTED');
      const { stream, answer } = lab.openLoad();
      stream.write({ name: 'vm1', migrationId: 'mig-1', data: Buffer.alloc((1 << 20) + 1) });
      await expect(answer).rejects.toThrow(/1048577 bytes: send at most 1048576/);
      await failed('vm1');
    });

    it('before ConnectIncoming is refused', async () => {
      await lab.prepare('vm1', [lab.block()]);
      await expect(lab.load('vm1', '', NO_BYTES)).rejects.toThrow(WrongState);
      expect((await lab.get('vm1')).state).toBe(IncomingState.PREPARED);
    });

    it('happens once', async () => {
      await lab.bring('vm1', 'LOADED');
      await expect(lab.load('vm1', 'mig-1', NO_BYTES)).rejects.toThrow(WrongState);
      expect((await lab.get('vm1')).state).toBe(IncomingState.LOADED);
    });

    it('that is no device state fails in the words of the VMM', async () => {
      await lab.bring('vm1', 'CONNECTED');
      await expect(lab.load('vm1', 'mig-1', Buffer.alloc(100_000, 'garbage'))).rejects.toThrow(
        HostPrecondition,
      );
      expect(await failed('vm1')).toMatch(/VMM/);
      await refusesToResume('vm1');
    });

    it('that ends too soon fails', async () => {
      const { vm } = await lab.bring('vm1', 'CONNECTED');
      const state = await vm.save();
      await expect(lab.load('vm1', 'mig-1', state.subarray(0, state.length / 2))).rejects.toThrow(
        HostPrecondition,
      );
      await failed('vm1');
    });

    it('that its source breaks off cleans up, and is not taken for the end of the state', async () => {
      const { vm, vmmPid } = await lab.bring('vm1', 'CONNECTED');
      const { stream } = lab.openLoad();
      stream.write({ name: 'vm1', migrationId: 'mig-1', data: await vm.save() });
      await lab.until('vm1', IncomingState.LOADING);
      stream.cancel();
      expect(await failed('vm1')).toBe('The source gave up sending device state');
      await refusesToResume('vm1');
      await lab.abort('vm1', 'mig-1');
      expect(await startTimeOf(vmmPid)).toBeNull();
    });
  });

  describe('ResumeIncoming', () => {
    it.each(['PREPARED', 'CONNECTED'] as const)('in %s is refused', async (state) => {
      await lab.bring('vm1', state);
      await refusesToResume('vm1', state === 'PREPARED' ? '' : 'mig-1');
      expect((await lab.get('vm1')).state).toBe(IncomingState[state]);
    });

    it('of another migration is NOT_FOUND, which says nothing about the guest', async () => {
      await lab.bring('vm1', 'LOADED');
      await expect(lab.resume('vm1', 'mig-0')).rejects.toThrow(NotFound);
      expect((await lab.get('vm1')).state).toBe(IncomingState.LOADED);
    });

    it('that comes after an abort in the same moment is refused, and the guest never runs', async () => {
      const { vmmPid } = await lab.bring('vm1', 'LOADED');
      const [aborted, resumed] = await Promise.allSettled([
        lab.abort('vm1', 'mig-1'),
        lab.resume('vm1', 'mig-1'),
      ]);
      expect(aborted.status).toBe('fulfilled');
      expect(resumed).toMatchObject({ reason: expect.any(WrongState) });
      expect(await startTimeOf(vmmPid)).toBeNull();
    });

    it('at the moment when the lanes are given up is either done or refused, never both', async () => {
      const { pages } = await lab.bring('vm1', 'LOADED');
      pages.cut();
      await failed('vm1');
      for (const outcome of await Promise.allSettled([
        lab.resume('vm1', 'mig-1'),
        lab.resume('vm1', 'mig-1'),
      ]))
        expect(outcome).toMatchObject({ reason: expect.any(WrongState) });
    });
  });

  describe('a loss', () => {
    it('of the lanes in CONNECTED fails the VM', async () => {
      const { pages, vmmPid } = await lab.bring('vm1', 'CONNECTED');
      pages.cut();
      await failed('vm1');
      await refusesToResume('vm1');
      await lab.abort('vm1', 'mig-1');
      expect(await startTimeOf(vmmPid)).toBeNull();
    });

    it('of the lanes in LOADED is forgiven for the grace and no longer', async () => {
      const { pages } = await lab.bring('vm1', 'LOADED');
      pages.cut();
      expect(await failed('vm1')).toMatch(/no lane to its source for 200 ms/);
      await refusesToResume('vm1');
    });

    it.each(['PREPARED', 'CONNECTED', 'LOADED'] as const)('of the VMM in %s fails the VM', async (state) => {
      const { vmmPid } = await lab.bring('vm1', state);
      process.kill(vmmPid, 'SIGKILL');
      expect(await failed('vm1')).toMatch(/The VMM of "vm1" was ended by SIGKILL/);
      await refusesToResume('vm1', state === 'PREPARED' ? '' : 'mig-1');
    });

    it('leaves a FAILED VM for inspection, which blocks no other of its name', async () => {
      const { vm, vmmPid } = await lab.bring('vm1', 'CONNECTED');
      process.kill(vmmPid, 'SIGKILL');
      await failed('vm1');
      expect((await lab.get('vm1')).state).toBe(IncomingState.FAILED);
      expect((await lab.prepare('vm1', vm.blocks)).state).toBe(IncomingState.PREPARED);
    });
  });
});

describe('an agent that', () => {
  it('hears nothing for the incoming timeout cleans up by itself', async () => {
    const lab = await Lab.start({ incomingTimeout: '300ms' });
    try {
      await lab.prepare('vm1', [lab.block()]);
      expect((await lab.watch('vm1')).at(-1)?.error).toMatch(/no progress for 300 ms/);
      await lab.abort('vm1');
      expect(await lab.remains()).toEqual(NOTHING);
    } finally {
      await lab.close();
    }
  });

  it('loses its page server before the resume gives the VM up', async () => {
    const lab = await Lab.start();
    try {
      const { vmmPid } = await lab.bring('vm1', 'LOADED');
      await lab.pageServer.stop('SIGKILL');
      expect((await lab.watch('vm1')).at(-1)).toMatchObject({
        state: IncomingState.FAILED,
        guestRecoverable: true,
      });
      await expect(lab.resume('vm1', 'mig-1')).rejects.toThrow(WrongState);
      await lab.abort('vm1', 'mig-1');
      expect(await startTimeOf(vmmPid)).toBeNull();
    } finally {
      await lab.close();
    }
  });

  it('stops before the resume undoes what can be undone', async () => {
    const lab = await Lab.start();
    try {
      const { vmmPid } = await lab.bring('vm1', 'LOADED');
      await lab.stopAgent();
      expect(await startTimeOf(vmmPid)).toBeNull();
      expect(await lab.remains()).toEqual(NOTHING);
    } finally {
      await lab.close();
    }
  });
});
