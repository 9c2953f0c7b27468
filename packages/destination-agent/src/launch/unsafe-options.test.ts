import { describe, expect, it } from 'vitest';
import { findUnsafeOptions } from './unsafe-options.js';

describe('findUnsafeOptions', () => {
  it.each([
    ['memory-backend-file,id=ram0,size=1G,mem-path=/x,share=on,prealloc=on', 'drop prealloc=on'],
    ['memory-backend-file,prealloc=yes,id=ram0', 'drop prealloc=on'],
    ['{"qom-type":"memory-backend-file","prealloc":true}', 'drop prealloc=on'],
    ['-mem-prealloc', 'drop -mem-prealloc'],
    ['mem-lock=on', 'drop mem-lock=on'],
    ['cpu-pm=on,mem-lock=on', 'drop mem-lock=on'],
    ['mlock=on', 'drop mem-lock=on'],
    ['vfio-pci,host=01:00.0', 'drop the VFIO device'],
    ['{"driver":"vfio-pci"}', 'drop the VFIO device'],
  ])('finds %s', (option, fix) => {
    expect(findUnsafeOptions(['-object', option])).toMatchObject([{ option, fix }]);
  });

  it.each([
    'prealloc=off,share=on',
    'mem-lock=off',
    'id=vfio',
    'prealloc-threads=4',
    'name=prealloc',
    'virtio-blk-pci,drive=d0',
  ])('leaves %s alone', (option) => {
    expect(findUnsafeOptions(['-x', option])).toEqual([]);
  });
});
