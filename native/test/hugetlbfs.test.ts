import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  ftruncateSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { native } from '../ts/index.js';

const SETTING = '/proc/sys/vm/nr_hugepages';
const HUGE = 2 << 20;
const PAGES = 4;

/** Adds to the reserved huge pages of the machine; answers by how much it worked. */
function reserve(by: number): number {
  const before = Number(readFileSync(SETTING, 'utf8'));
  writeFileSync(SETTING, String(before + by));
  return Number(readFileSync(SETTING, 'utf8')) - before;
}

/** A hugetlbfs mount with room for the tests, or why there is none. */
function mount(): { directory: string } | string {
  if (process.geteuid?.() !== 0) return 'reserving huge pages needs root';
  const got = reserve(PAGES);
  if (got < PAGES) {
    reserve(-got);
    return `only ${got} of ${PAGES} huge pages could be reserved`;
  }
  const directory = mkdtempSync(join(tmpdir(), 'umem-huge-'));
  execFileSync('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'none', directory]);
  return { directory };
}

const mounted = mount();
const why = typeof mounted === 'string' ? ` (skipped: ${mounted})` : '';
afterAll(() => {
  if (typeof mounted === 'string') return;
  // Lazily: a test that failed may still have a file open.
  execFileSync('umount', ['--lazy', mounted.directory]);
  rmdirSync(mounted.directory);
  reserve(-PAGES);
});

describe.skipIf(typeof mounted === 'string')(`a RAM file on hugetlbfs${why}`, () => {
  const free = (): number =>
    Number(/HugePages_Free:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
  const open = (name: string): number => {
    const fd = openSync(join(typeof mounted === 'string' ? '' : mounted.directory, name), 'w+');
    ftruncateSync(fd, PAGES * HUGE);
    return fd;
  };

  it('is read without allocating a page, and is filled in whole huge pages', () => {
    const fd = open('ram0');
    const before = free();
    const reader = native.openRamReader(fd, PAGES * HUGE);
    const out = new Int16Array(PAGES * 512);
    reader.classify(0, out.length, 4096, out);
    expect(new Set(out)).toEqual(new Set([0]));
    const bytes = Buffer.alloc(4096, 1);
    reader.read(3 * HUGE, 4096, bytes, 0);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(free()).toBe(before);

    const mapping = native.mapFile(fd, PAGES * HUGE);
    const uffd = native.createUserfaultfd(0n);
    uffd.register(mapping.address, PAGES * HUGE);
    expect(uffd.copy(mapping.address, new Uint8Array(4096), 0, 4096).errno).toBe(constants.errno.EINVAL);
    expect(uffd.fill(mapping.address + BigInt(HUGE), 7, 2 * HUGE)).toEqual({
      placedBytes: 2 * HUGE,
      errno: 0,
    });
    expect(uffd.fill(mapping.address, 7, 2 * HUGE)).toEqual({
      placedBytes: HUGE,
      errno: constants.errno.EEXIST,
    });
    reader.classify(0, PAGES, HUGE, out);
    expect([...out.subarray(0, PAGES)]).toEqual([7, 7, 7, 0]);
    reader.classify(2 * 512 + 500, 20, 4096, out);
    expect([...out.subarray(0, 20)]).toEqual([...Array<number>(12).fill(7), ...Array<number>(8).fill(0)]);
    expect(free()).toBe(before - 3);
    native.punchHole(fd, 0, HUGE);
    expect(free()).toBe(before - 2);
    uffd.close();
    mapping.close();
    reader.close();
    closeSync(fd);
  });

  it('does not tell which of its pages exist', () => {
    const fd = open('ram1');
    expect(() => native.dataExtents(fd, PAGES * HUGE)).toThrow(/EOPNOTSUPP|ENOTSUP/);
    closeSync(fd);
  });
});
