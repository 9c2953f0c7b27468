import { Placement } from '@umem/api';
import { expect, it } from 'vitest';
import { checkVhostUser } from './vhost-user-check.js';

const DEVICES = ['disk0 (vhost-user-blk-pci)'];

it('has nothing against any placement where no other process serves a device', () => {
  for (const placement of [Placement.COPY, Placement.CACHE])
    expect(checkVhostUser(placement, [])).toMatchObject({ check: 'vhost-user', passed: true, fix: '' });
});

it('refuses placement copy where one does, and says which device and what to do', () => {
  expect(checkVhostUser(Placement.COPY, DEVICES)).toMatchObject({
    passed: false,
    finding: expect.stringContaining('disk0 (vhost-user-blk-pci)') as string,
    fix: expect.stringMatching(/--placement cache.*UMEM_HANDOFF/) as string,
  });
});

it('takes placement cache, and reminds of how the back end must be started', () => {
  expect(checkVhostUser(Placement.CACHE, DEVICES)).toMatchObject({
    passed: true,
    finding: expect.stringMatching(/disk0.*LD_PRELOAD/) as string,
  });
});
