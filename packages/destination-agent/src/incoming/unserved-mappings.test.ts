import { describe, expect, it } from 'vitest';
import { readMappingUse } from './unserved-mappings.js';

/** As Linux 6.18 shows a mapping, shortened. */
function entry(start: string, end: string, fields: Record<string, string>): string {
  const lines = Object.entries(fields).map(([name, value]) => `${`${name}:`.padEnd(16)}${value}`);
  return [`${start}-${end} rw-s 00000000 00:1a 42          /dev/shm/umem/vm1/ram0`, ...lines, ''].join('\n');
}

const untouched = {
  Size: '65536 kB',
  Rss: '       0 kB',
  Shared_Hugetlb: '0 kB',
  VmFlags: 'rd wr sh mr mw me',
};
const touched = { ...untouched, Rss: '       8 kB' };
const huge = { ...untouched, Private_Hugetlb: '   2048 kB' };
const served = { ...touched, VmFlags: 'rd wr sh mr mw me um dd' };

describe('what the kernel says of a mapping', () => {
  const smaps = [
    entry('7f0000000000', '7f0000001000', untouched),
    entry('7f1000000000', '7f1000001000', touched),
    entry('7f2000000000', '7f2000001000', served),
    entry('7f3000000000', '7f3000001000', huge),
  ].join('');

  it.each([
    [0x7f0000000000, { isServed: false, isTouched: false }],
    [0x7f1000000000, { isServed: false, isTouched: true }],
    [0x7f2000000000, { isServed: true, isTouched: true }],
    [0x7f3000000000, { isServed: false, isTouched: true }],
    [0x7f4000000000, null],
    [0x7f000000, null],
  ])('is read for the one at %i', (address, use) => {
    expect(readMappingUse(smaps, address)).toEqual(use);
  });

  it('is nothing for a process that has ended', () => {
    expect(readMappingUse('', 0x7f0000000000)).toBeNull();
  });
});
