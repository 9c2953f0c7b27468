import { readFileSync, readlinkSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { native } from '../ts/index.js';
import { Guest, takeFd } from './kit/guest.js';

const closesOnExec = (fd: number) => {
  const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return (parseInt(flags, 8) & 0o2000000) !== 0;
};

describe('pidfd', () => {
  it('fetches a descriptor of another process, and both mean the same file', async () => {
    const guest = new Guest();
    const [remote] = await guest.ask('memfd fetched 8192', 'file');
    const fd = takeFd(guest.pid, Number(remote));
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toContain('memfd:fetched');
    expect(closesOnExec(fd)).toBe(true);
    await guest.ask('map shared 8192 0', 'mapped');
    writeSync(fd, 'A', 4096);
    expect(await guest.ask('read 0 1', 'value')).toEqual(['65']);
    native.closeFd(fd);
    await guest.stop();
  });

  it('says what is missing: the process or the descriptor', async () => {
    const guest = new Guest();
    const pidfd = native.pidfdOpen(guest.pid);
    expect(closesOnExec(pidfd)).toBe(true);
    expect(() => native.pidfdGetfd(pidfd, 500)).toThrow(
      expect.objectContaining({ syscall: 'pidfd_getfd', errno: constants.errno.EBADF }),
    );
    await guest.stop();
    expect(() => native.pidfdGetfd(pidfd, 0)).toThrow(
      expect.objectContaining({ errno: constants.errno.ESRCH }),
    );
    native.closeFd(pidfd);
    expect(() => native.pidfdOpen(0x7fffffff)).toThrow('pidfd_open of process 2147483647 failed');
    expect(() => native.closeFd(pidfd)).toThrow('EBADF');
  });
});

describe('descriptors', () => {
  it('are duplicated close-on-exec', () => {
    const memfd = native.createMemfd('duplicated', 4096);
    const copy = native.dupFd(memfd);
    expect(closesOnExec(memfd)).toBe(true);
    expect(closesOnExec(copy)).toBe(true);
    native.closeFd(memfd);
    expect(readSync(copy, new Uint8Array(4096))).toBe(4096);
    native.closeFd(copy);
    expect(() => native.dupFd(copy)).toThrow('EBADF');
  });

  it('that are no userfaultfd are not adopted, and stay with the caller', () => {
    const memfd = native.createMemfd('not-a-userfaultfd', 4096);
    expect(() => native.adoptUserfaultfd(memfd)).toThrow(
      expect.objectContaining({ errno: constants.errno.EINVAL }),
    );
    native.closeFd(memfd);
    expect(() => native.adoptUserfaultfd(memfd)).toThrow('EBADF');
  });
});
