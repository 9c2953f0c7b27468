import { UmemdService, UmemState, unary, type UmemdServer } from '@umem/api';
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../run-cli.js';
import { createUmem } from '../testing/messages.js';
import { ScriptedPeer } from '../testing/scripted-peer.js';
import { createTestIo } from '../testing/test-io.js';

let peer: ScriptedPeer;
afterEach(() => peer.stop());

async function run(handlers: Partial<UmemdServer>, ...argv: string[]) {
  peer = await ScriptedPeer.start({ definition: UmemdService, handlers });
  const io = createTestIo({ env: { UMEM_PAGE_SERVER: peer.address } });
  const code = await runCli(['umem', ...argv], io);
  return { code, io };
}

describe('umemctl umem', () => {
  it('lists sets in columns', async () => {
    const { io } = await run({ listUmems: unary(() => ({ umems: [createUmem()] })) }, 'list');
    expect(io.stdout.text).toMatch(/^web1 +ARMED +ram0 512 MiB +1,000 +connected +mig-1$/m);
  });

  it('lists sets as the documented JSON', async () => {
    const failed = createUmem({
      state: UmemState.FAILED,
      error: 'Lost',
      lanesConnected: false,
      migrationId: '',
    });
    const { io } = await run({ listUmems: unary(() => ({ umems: [failed] })) }, 'list', '--json');
    expect(io.stdout.json()).toMatchObject({
      apiVersion: 'umem/v1',
      umems: [
        {
          name: 'web1',
          state: 'FAILED',
          ram: [{ id: 'ram0', sizeBytes: 536_870_912, hostPageSizeBytes: 4096 }],
          handoffSocket: '/run/umem/web1/handoff.sock',
          lanesConnected: false,
          migrationId: null,
          pages: { remaining: 1000 },
          error: 'Lost',
        },
      ],
    });
  });

  it('reattaches', async () => {
    const { code, io } = await run({ reattachUmem: unary(() => createUmem()) }, 'reattach', 'web1', '--json');
    expect(code).toBe(0);
    expect(io.stdout.json()).toMatchObject({ state: 'ARMED' });
  });

  it('says plainly that a page server cannot reattach yet, with exit code 3', async () => {
    const { code, io } = await run({}, 'reattach', 'web1');
    expect(code).toBe(3);
    expect(io.stderr.text).toMatch(/^umemctl: page-server unix:\S+ cannot do this: .*reattachUmem\n$/);
  });
});
