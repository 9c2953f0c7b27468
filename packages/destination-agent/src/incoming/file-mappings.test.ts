import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findSocketOwners, parseMaps } from './file-mappings.js';

/** makedev(3), as the C library has it. */
const toDevice = (major: number, minor: number): number =>
  Number((BigInt(minor & 0xfff00) << 12n) | (BigInt(major) << 8n) | BigInt(minor & 0xff));
const hex = (number: number, width: number): string => number.toString(16).padStart(width, '0');

const mapping = fc
  .record({
    startPage: fc.nat(2 ** 35 - 2 ** 20),
    pageCount: fc.integer({ min: 1, max: 2 ** 20 }),
    isReadable: fc.boolean(),
    isShared: fc.boolean(),
    pgoff: fc.nat(2 ** 32),
    major: fc.constantFrom(0, 8, 0xfff),
    minor: fc.constantFrom(1, 0xff, 0x100, 0x7ffff, 0x80000, 0xfffff),
    ino: fc.constantFrom(0, 7, 2 ** 32 + 7),
    name: fc.constantFrom('', '/dev/shm/a', '/a file r--s 0 00:01 7', '[heap]', '/x (deleted)', '/a\\012b'),
  })
  .map((one) => {
    const start = one.startPage * 4096;
    const permissions = `${one.isReadable ? 'r' : '-'}w-${one.isShared ? 's' : 'p'}`;
    const device = `${hex(one.major, 2)}:${hex(one.minor, 2)}`;
    const range = `${hex(start, 8)}-${hex(start + one.pageCount * 4096, 8)}`;
    const line = `${range} ${permissions} ${hex(one.pgoff * 4096, 8)} ${device} ${one.ino}`;
    return { ...one, start, line: one.name === '' ? `${line} ` : `${line.padEnd(73)}${one.name}` };
  });

test('the shared, readable mappings of a file are found among all others, whatever files are called', () => {
  fc.assert(
    fc.property(fc.array(mapping, { minLength: 1, maxLength: 8 }), fc.nat(7), (mappings, index) => {
      const wanted = mappings[index % mappings.length];
      if (wanted === undefined) throw new Error('There is at least one mapping');
      const file = { dev: toDevice(wanted.major, wanted.minor), ino: wanted.ino };
      const expected = mappings
        .filter(({ isReadable, isShared }) => isReadable && isShared)
        .filter(({ major, minor, ino }) => toDevice(major, minor) === file.dev && ino === file.ino)
        .map(({ start, pgoff, pageCount }) => ({ address: start, pages: { pgoff, pageCount } }));
      expect(parseMaps(mappings.map(({ line }) => `${line}\n`).join(''), file)).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test('text that is no table of mappings has none', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0af-: rws\n9é'), maxLength: 200 }), (text) => {
      for (const { pages } of parseMaps(text, { dev: 0, ino: 0 }))
        expect(Number.isNaN(pages.pgoff)).toBe(false);
    }),
  );
});

test('who listens at a socket is found, also when there are blanks in its path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'umem socket '));
  const path = join(folder, 'a  b.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    expect(await findSocketOwners(path)).toEqual(new Set([process.pid]));
  } finally {
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  }
});
