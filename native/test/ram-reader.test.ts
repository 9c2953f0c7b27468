import { ftruncateSync, fstatSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native, type NativeRamReader } from '../ts/index.js';

const PAGE = 4096;
const PAGES = 64;

describe('a RAM reader', () => {
  let file: number;
  let reader: NativeRamReader;
  const writePage = (page: number, value: number) =>
    writeSync(file, new Uint8Array(PAGE).fill(value), 0, PAGE, page * PAGE);
  const classify = (first: number, count: number, pageSize = PAGE) => {
    const out = new Int16Array(count).fill(999);
    reader.classify(first, count, pageSize, out);
    return [...out];
  };

  beforeEach(() => {
    file = native.createMemfd('reader', PAGES * PAGE);
    reader = native.openRamReader(file, PAGES * PAGE);
  });
  afterEach(() => {
    reader.close();
    native.closeFd(file);
  });

  it('tells constant pages from others by their value', () => {
    for (const value of [0, 1, 127, 128, 255]) writePage(value % PAGES, value);
    expect(classify(0, 2)).toEqual([128, 1]);
    expect(classify(63, 1)).toEqual([255]);
    writeSync(file, new Uint8Array([7]), 0, 1, 63 * PAGE + 4095);
    expect(classify(63, 1)).toEqual([-1]);
    writePage(63, 9);
    expect(classify(63, 1)).toEqual([9]);
  });

  it('says that holes are zeros, and leaves them holes', () => {
    writePage(3, 0);
    writePage(5, 1);
    const blocks = fstatSync(file).blocks;
    expect(classify(0, 8)).toEqual([0, 0, 0, 0, 0, 1, 0, 0]);
    expect(classify(0, PAGES).filter((value) => value === 0)).toHaveLength(PAGES - 1);
    const target = new Uint8Array(8 * PAGE).fill(1);
    reader.read(0, 8 * PAGE, target, 0);
    expect(target.subarray(0, 5 * PAGE).every((byte) => byte === 0)).toBe(true);
    expect(fstatSync(file).blocks).toBe(blocks);
    expect([...native.dataExtents(file, PAGES * PAGE)]).toEqual([3 * PAGE, 4 * PAGE, 5 * PAGE, 6 * PAGE]);
  });

  it('classifies pages that are larger than 4096 bytes', () => {
    writePage(2, 5);
    writePage(3, 5);
    writePage(4, 5);
    expect(classify(0, 4, 2 * PAGE)).toEqual([0, 5, -1, 0]);
  });

  it('sees what is written and punched after it was opened', () => {
    expect(classify(7, 1)).toEqual([0]);
    writePage(7, 3);
    expect(classify(7, 1)).toEqual([3]);
    native.punchHole(file, 7 * PAGE, PAGE);
    expect(classify(7, 1)).toEqual([0]);
    expect([...native.dataExtents(file, PAGES * PAGE)]).toEqual([]);
  });

  it('reads bytes into the middle of a buffer', () => {
    writePage(1, 0x61);
    const target = new Uint8Array(10).fill(1);
    reader.read(2 * PAGE - 2, 4, target, 3);
    expect([...target]).toEqual([1, 1, 1, 0x61, 0x61, 0, 0, 1, 1, 1]);
    reader.read(0, 0, target, 10);
  });

  it('throws instead of dying when the file was truncated under it', () => {
    writePage(40, 1);
    ftruncateSync(file, 20 * PAGE);
    expect(classify(0, 20)).toHaveLength(20);
    expect(() => classify(19, 2)).toThrow(expect.objectContaining({ errno: constants.errno.ERANGE }));
    expect(() => reader.read(20 * PAGE, 1, new Uint8Array(1), 0)).toThrow('pread');
  });

  it('needs a file that is long enough, and a descriptor that is one', () => {
    expect(() => native.openRamReader(file, (PAGES + 1) * PAGE)).toThrow('ERANGE');
    expect(() => native.openRamReader(1_000_000, PAGE)).toThrow('EBADF');
    expect(() => native.openRamReader(file, 5000)).toThrow(RangeError);
    expect(() => native.dataExtents(1_000_000, PAGE)).toThrow('EBADF');
  });
});

describe('data extents', () => {
  it('list the data of the part that was asked for', () => {
    const file = native.createMemfd('extents', 16 * PAGE);
    for (const page of [0, 1, 15]) writeSync(file, 'x', page * PAGE);
    expect([...native.dataExtents(file, 16 * PAGE)]).toEqual([0, 2 * PAGE, 15 * PAGE, 16 * PAGE]);
    expect([...native.dataExtents(file, PAGE)]).toEqual([0, PAGE]);
    expect([...native.dataExtents(file, 0)]).toEqual([]);
    native.closeFd(file);
  });
});
