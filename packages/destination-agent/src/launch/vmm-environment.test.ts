import { HostPrecondition } from '@umem/errors';
import { describe, expect, it } from 'vitest';
import { launchEnvironment, vmmEnvironment } from './vmm-environment.js';

const ram = ['ram0', 'ram1'].map((blockId) => ({
  block: { blockId, sizeBytes: 4096, hostPageSizeBytes: 4096 },
  path: `/dev/shm/umem/vm1/${blockId}`,
}));

describe('the environment of a VMM', () => {
  const ours = vmmEnvironment('/opt/umem/libumem-handoff.so', ram, '/run/handoff.sock');

  it('names every RAM file and where to hand it over', () => {
    expect(ours).toEqual({
      LD_PRELOAD: '/opt/umem/libumem-handoff.so',
      UMEM_RAM: 'ram0=/dev/shm/umem/vm1/ram0:ram1=/dev/shm/umem/vm1/ram1',
      UMEM_HANDOFF: '/run/handoff.sock',
    });
  });

  it("keeps a profile's own preload library behind ours, and lets it override nothing else", () => {
    const env = launchEnvironment(ours, { LD_PRELOAD: '/opt/own.so', UMEM_HANDOFF: '/evil', LANG: 'C' });
    expect(env).toMatchObject({
      LD_PRELOAD: '/opt/umem/libumem-handoff.so:/opt/own.so',
      LANG: 'C',
      UMEM_HANDOFF: '/run/handoff.sock',
    });
  });

  it("does not hand the agent's own environment on", () => {
    process.env['UMEM_TEST_SECRET'] = 'x';
    expect(Object.keys(launchEnvironment(ours, {})).sort()).toEqual([
      'LD_PRELOAD',
      'PATH',
      'UMEM_HANDOFF',
      'UMEM_RAM',
    ]);
    delete process.env['UMEM_TEST_SECRET'];
  });

  it('refuses a library path that the dynamic loader would split', () => {
    expect(() => vmmEnvironment('/my files/lib.so', ram, '/h')).toThrow(HostPrecondition);
  });
});
