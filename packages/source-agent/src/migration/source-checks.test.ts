import { Placement } from '@umem/api';
import { HostPrecondition } from '@umem/errors';
import { describe, expect, it } from 'vitest';
import { checkPlacement } from './source-checks.js';

const guest = { vhostUserDevices: ['disk0 (vhost-user-blk-pci)'] };

describe('the placement that a guest needs', () => {
  it('is any, when QEMU serves all its devices', () => {
    for (const placement of [Placement.COPY, Placement.CACHE])
      expect(() => checkPlacement('vm1', { vhostUserDevices: [] }, placement)).not.toThrow();
  });

  it('is CACHE, when another process serves a device', () => {
    expect(() => checkPlacement('vm1', guest, Placement.CACHE)).not.toThrow();
  });

  it.each([Placement.COPY, Placement.UNSPECIFIED])(
    'is not %s then: the refusal names the device, the flag and what the back end must be started with',
    (placement) => {
      const check = () => checkPlacement('vm1', guest, placement);
      expect(check).toThrow(HostPrecondition);
      expect(check).toThrow(/"vm1".*disk0 \(vhost-user-blk-pci\).*--placement cache.*LD_PRELOAD/);
    },
  );
});
