import { describe, expect, it } from 'vitest';
import { toDevices } from './guest-devices.js';
import type { MemoryBackend } from './memory-backends.js';
import {
  findBlocker,
  findCopyProblem,
  findDeviceProblem,
  findMemoryProblem,
  findNetworkProblem,
  findVhostUserDevices,
} from './movability.js';

const QEMU_7_2 = { major: 7, minor: 2, isQemu: true };

const file: MemoryBackend = {
  id: 'ram0',
  type: 'memory-backend-file',
  sizeBytes: 2 ** 26,
  shared: true,
  path: '/dev/shm/ram0',
};

const memfd: MemoryBackend = { ...file, type: 'memory-backend-memfd', path: null };

function judge(backend: Partial<MemoryBackend>, version = QEMU_7_2, guestRamBytes: number | null = 2 ** 26) {
  return findMemoryProblem({ backends: [{ ...file, ...backend }], guestRamBytes }, version);
}

describe('guest memory', () => {
  it('can move when every backend is shared and all RAM is backed', () => {
    expect(judge({})).toBeNull();
    expect(judge(memfd)).toBeNull();
    expect(judge({}, QEMU_7_2, null)).toBeNull();
  });

  it('without a backend is refused with the whole option, size included', () => {
    expect(findMemoryProblem({ backends: [], guestRamBytes: 1024 }, QEMU_7_2)).toContain(
      '-object memory-backend-file,id=ram0,size=1024,mem-path=/dev/shm/ram0,share=on -machine memory-backend=ram0',
    );
  });

  it.each([
    [{ type: 'memory-backend-ram' }, /plain -m.*memory-backend-file,id=ram0/],
    [{ type: 'memory-backend-epc' }, /memory-backend-epc, which umem does not know/],
    [{ shared: false }, /private \(share=off\).*add share=on/],
  ])('is refused for %o', (backend, message) => {
    expect(judge(backend)).toMatch(message);
  });

  it('in a memfd is refused from QEMU 8.1 on, which copies it into the device state', () => {
    expect(judge(memfd, { major: 8, minor: 0, isQemu: true })).toBeNull();
    expect(judge(memfd, { major: 8, minor: 1, isQemu: true })).toMatch(
      /memfd.*QEMU 8\.1 puts into the device state/,
    );
    expect(judge(memfd, { major: 10, minor: 0, isQemu: true })).toMatch(/memfd/);
    expect(judge(memfd, { major: 10, minor: 0, isQemu: false })).toBeNull();
  });

  it('is refused when part of it has no backend', () => {
    expect(judge({}, QEMU_7_2, 2 ** 27)).toMatch(/Only 67108864 of 134217728 bytes/);
  });
});

describe('guest devices', () => {
  // As QEMU 7.2 answers qom-list for /machine/peripheral.
  const children = (type: string) => [
    { name: 'type', type: 'string' },
    { name: 'bal', type: 'child<virtio-balloon-pci>' },
    { name: 'hostdev0', type: `child<${type}>` },
  ];

  it('are read from the children in the object tree', () => {
    expect(toDevices(children('vfio-pci'))).toEqual([
      { name: 'bal', type: 'virtio-balloon-pci' },
      { name: 'hostdev0', type: 'vfio-pci' },
    ]);
  });

  it.each(['vfio-pci', 'vfio-pci-nohotplug', 'vfio-ap', 'vfio-user-pci'])(
    'refuse %s and say how to remove it',
    (type) => {
      expect(findDeviceProblem(toDevices(children(type)))).toMatch(
        /"hostdev0" .* pins all guest memory.*device_del hostdev0/,
      );
    },
  );

  it.each([
    ['vhost-vdpa-device-pci', /vDPA/],
    ['vhost-vdpa-device', /vDPA/],
  ])('refuse %s', (type, message) => {
    expect(findDeviceProblem(toDevices(children(type)))).toMatch(message);
  });

  it.each(['virtio-net-pci', 'pc-dimm', 'vhost-vsock-pci', 'ivshmem-plain'])('allow %s', (type) => {
    const devices = toDevices(children(type));
    expect(findDeviceProblem(devices)).toBeNull();
    expect(findVhostUserDevices(devices, '')).toEqual([]);
  });

  it.each(['vhost-user-fs-pci', 'vhost-user-blk-pci', 'vhost-user-blk'])(
    'allow %s and name it as served by another process',
    (type) => {
      const devices = toDevices(children(type));
      expect(findDeviceProblem(devices)).toBeNull();
      expect(findVhostUserDevices(devices, '')).toEqual([`hostdev0 (${type})`]);
    },
  );
});

describe('network backends', () => {
  it('of QEMU itself are allowed, those that pin memory are not', () => {
    const user =
      'virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci\r\n \\ x: index=0,type=user,net=10.0.2.0\r\n';
    expect(findNetworkProblem('')).toBeNull();
    expect(findNetworkProblem(user)).toBeNull();
    expect(findNetworkProblem(user.replace('type=user', 'type=vhost-vdpa'))).toMatch(/"x" is vhost-vdpa/);
    expect(findVhostUserDevices([], user)).toEqual([]);
  });

  it('of vhost-user are named, all of them', () => {
    const networks = ['a', 'b']
      .map((name, i) => `virtio-net-pci.${i}: index=0,type=nic\r\n \\ ${name}: index=0,type=vhost-user,x\r\n`)
      .join('');
    expect(findNetworkProblem(networks)).toBeNull();
    expect(findVhostUserDevices([], networks)).toEqual(['a (netdev vhost-user)', 'b (netdev vhost-user)']);
  });
});

describe('placement copy', () => {
  it('is no problem for a guest whose devices QEMU serves itself', () => {
    expect(findCopyProblem([])).toBeNull();
  });

  it('is refused for devices of other processes, with their names and what to do', () => {
    expect(findCopyProblem(['a (vhost-user-blk-pci)'])).toEqual({
      finding: expect.stringMatching(
        /^Device a \(vhost-user-blk-pci\) is served by another process/,
      ) as string,
      fix: expect.stringContaining('--placement cache') as string,
    });
    expect(findCopyProblem(['a (b)', 'c (d)'])?.finding).toContain('Devices a (b), c (d) are served');
  });
});

describe("QEMU's own reasons", () => {
  it('are passed on', () => {
    expect(findBlocker([])).toBeNull();
    expect(findBlocker(['a', 'b'])).toContain('a; b');
  });
});
