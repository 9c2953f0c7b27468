import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { native, NativeError } from '../ts/index.js';

const PAGE = 4096;

/** Resident shared memory of this process, in KiB. */
const residentKiB = (): number =>
  Number(/RssShmem:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

describe('a mapping of a file', () => {
  it('is a way into the file, and its pages need not stay in the page tables', () => {
    const pages = 2048;
    const fd = native.createMemfd('file-mapping', pages * PAGE);
    const mapping = native.mapFile(fd, pages * PAGE);
    const uffd = native.createUserfaultfd(0n);
    onTestFinished(() => {
      uffd.close();
      mapping.close();
      native.closeFd(fd);
    });
    uffd.register(mapping.address, mapping.sizeBytes);
    const before = residentKiB();
    expect(uffd.fill(mapping.address, 3, pages * PAGE).errno).toBe(0);
    expect(residentKiB() - before).toBeGreaterThanOrEqual(pages * 4 - 64);
    native.forgetMapped(mapping.address, pages * PAGE);
    expect(residentKiB() - before).toBeLessThan(1024);
    expect([...native.dataExtents(fd, pages * PAGE)]).toEqual([0, pages * PAGE]);
    // The file still has them, so they cannot be placed again.
    expect(uffd.fill(mapping.address, 4, PAGE).errno).toBe(constants.errno.EEXIST);
  });

  it('of a file that is too short is refused', () => {
    const fd = native.createMemfd('file-mapping', PAGE);
    onTestFinished(() => native.closeFd(fd));
    expect(() => native.mapFile(fd, 2 * PAGE)).toThrow(NativeError);
    expect(() => native.mapFile(fd, 5)).toThrow(RangeError);
  });

  it('may be closed twice', () => {
    const fd = native.createMemfd('file-mapping', PAGE);
    const mapping = native.mapFile(fd, PAGE);
    mapping.close();
    mapping.close();
    native.closeFd(fd);
  });

  it('takes bytes from memory that threads share', () => {
    const fd = native.createMemfd('file-mapping', PAGE);
    const mapping = native.mapFile(fd, PAGE);
    const uffd = native.createUserfaultfd(0n);
    uffd.register(mapping.address, PAGE);
    const shared = new Uint8Array(new SharedArrayBuffer(2 * PAGE)).fill(8, PAGE);
    expect(uffd.copy(mapping.address, shared, PAGE, PAGE)).toEqual({ placedBytes: PAGE, errno: 0 });
    const out = Buffer.alloc(PAGE);
    const reader = native.openRamReader(fd, PAGE);
    reader.read(0, PAGE, out, 0);
    expect(out.every((byte) => byte === 8)).toBe(true);
    reader.close();
    uffd.close();
    mapping.close();
    native.closeFd(fd);
  });
});
