import { native } from '@umem/native';
import { expect, onTestFinished, test } from 'vitest';
import { RegionMap } from '../handoff/region-map.js';
import { Placer } from './placer.js';

const TARGET = 64 << 10;
const HOST = 4096;
const PAGES = 32;

/** A file under a userfaultfd, in host pages that are smaller than target pages. */
function create() {
  const fd = native.createMemfd('placer-test', PAGES * TARGET);
  const mapping = native.mapFile(fd, PAGES * TARGET);
  const uffd = native.createUserfaultfd(0n);
  uffd.register(mapping.address, PAGES * TARGET);
  const reader = native.openRamReader(fd, PAGES * TARGET);
  onTestFinished(() => {
    uffd.close();
    mapping.close();
    reader.close();
    native.closeFd(fd);
  });
  const region = { blockId: 'ram0', pgoff: 0, pageCount: PAGES, hostAddress: mapping.address };
  const map = new RegionMap([{ ...region, uffd: 0, hostPageSize: HOST }], TARGET);
  const placer = new Placer({ map, uffds: [uffd], afterPlacing: null }, TARGET);
  const valueOf = (offset: number, lengthBytes: number): number[] => {
    const out = new Int16Array(lengthBytes / HOST);
    reader.classify(offset / HOST, out.length, HOST, out);
    return [...new Set(out)];
  };
  return { fd, uffd, base: mapping.address, placer, valueOf };
}

test('a target page that is larger than host pages is placed with all of them', () => {
  const { fd, placer, valueOf } = create();
  const data = new Uint8Array(3 * TARGET).fill(5);
  const content = { kind: 'raw', data, offset: TARGET } as const;
  expect(placer.place({ blockId: 'ram0', range: { pgoff: 7, pageCount: 2 }, content })).toEqual({
    placed: [{ pgoff: 7, pageCount: 2 }],
    retry: [],
    gone: [],
  });
  expect(valueOf(7 * TARGET, 2 * TARGET)).toEqual([5]);
  expect([...native.dataExtents(fd, PAGES * TARGET)]).toEqual([7 * TARGET, 9 * TARGET]);
});

test('host pages in the middle of a target page that are there already are stepped over', () => {
  const { uffd, base, placer, valueOf } = create();
  uffd.fill(base + BigInt(TARGET + 3 * HOST), 9, 2 * HOST);
  const range = { pgoff: 0, pageCount: 3 };
  const { placed, retry } = placer.place({ blockId: 'ram0', range, content: { kind: 'fill', value: 4 } });
  expect({ placed, retry }).toEqual({ placed: [range], retry: [] });
  expect(valueOf(TARGET, 3 * HOST)).toEqual([4]);
  expect(valueOf(TARGET + 3 * HOST, 2 * HOST)).toEqual([9]);
  expect(valueOf(TARGET + 5 * HOST, TARGET - 5 * HOST)).toEqual([4]);
});

test('zeros are placed as zero pages, and pages that are mapped nowhere are told', () => {
  const { fd, placer } = create();
  const content = { kind: 'fill', value: 0 } as const;
  const range = { pgoff: PAGES - 1, pageCount: 3 };
  const outcome = placer.place({ blockId: 'ram0', range, content });
  expect(outcome.placed).toEqual([{ pgoff: PAGES - 1, pageCount: 1 }]);
  expect(outcome.gone).toMatchObject([{ range: { pgoff: PAGES, pageCount: 2 } }]);
  expect([...native.dataExtents(fd, PAGES * TARGET)]).toEqual([(PAGES - 1) * TARGET, PAGES * TARGET]);
});
