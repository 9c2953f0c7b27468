import { expect, test } from 'vitest';
import { SentPages } from '../ram/sent-pages.js';
import { RamRelease } from './ram-release.js';

function start(hostPageSizeBytes: number, pages = 2048) {
  const sent = new SentPages([pages]);
  const freed: [number, number][] = [];
  const block = { blockId: 'ram0', sizeBytes: pages * 4096, hostPageSizeBytes };
  const release = new RamRelease([block], sent, (_, ranges) =>
    freed.push(...ranges.map(({ pgoff, pageCount }): [number, number] => [pgoff, pageCount])),
  );
  return { sent, freed, release };
}

test('nothing is freed before it is allowed, then all that was confirmed', () => {
  const { freed, release } = start(4096);
  release.placed(0, [
    { pgoff: 5, pageCount: 3 },
    { pgoff: 6, pageCount: 4 },
  ]);
  expect(freed).toEqual([]);
  release.allow();
  release.allow();
  expect(freed).toEqual([
    [5, 3],
    [8, 2],
  ]);
  release.placed(0, [{ pgoff: 0, pageCount: 7 }]);
  expect(freed.slice(2)).toEqual([[0, 5]]);
});

test('a huge page is freed when its last page is confirmed or given up', () => {
  const { sent, freed, release } = start(2 << 20);
  release.allow();
  release.placed(0, [{ pgoff: 1, pageCount: 511 }]);
  expect(freed).toEqual([]);
  release.placed(0, [{ pgoff: 0, pageCount: 1 }]);
  expect(freed).toEqual([[0, 512]]);
  sent.remove(0, 512);
  release.placed(0, [{ pgoff: 513, pageCount: 1200 }]);
  expect(freed.slice(1)).toEqual([
    [512, 512],
    [1024, 512],
  ]);
});

test('when the destination needs nothing more, all that was not freed yet is', () => {
  const { sent, freed, release } = start(2 << 20);
  release.placed(0, [{ pgoff: 0, pageCount: 512 }]);
  sent.remove(0, 700);
  release.placedAll();
  expect(freed).toEqual([]);
  release.allow();
  const pages = freed.flatMap(([pgoff, count]) => Array.from({ length: count }, (_, i) => pgoff + i));
  expect([...new Set(pages)].sort((a, b) => a - b)).toEqual(Array.from({ length: 2048 }, (_, i) => i));
});
