import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { test } from './lab-test.js';
import { compareRam } from './ram-files.js';

const PAGE = 4096;
const SIZE = 9 * 2 ** 20;

async function makeFiles(dir: string): Promise<[string, string]> {
  const paths: [string, string] = [join(dir, 'a'), join(dir, 'b')];
  for (const path of paths) {
    await writeFile(path, 'first page');
    await truncate(path, SIZE);
  }
  return paths;
}

test('equal files have no difference, whatever their holes', async ({ lab }) => {
  const [a, b] = await makeFiles(lab.ramDir);
  const file = await open(b, 'r+');
  await file.write(Buffer.alloc(PAGE), 0, PAGE, 5 * PAGE);
  await file.close();
  expect(await compareRam(a, b)).toBeNull();
});

test('one differing byte is found and its page named', async ({ lab }) => {
  const [a, b] = await makeFiles(lab.ramDir);
  const file = await open(b, 'r+');
  await file.write(Buffer.of(1), 0, 1, SIZE - 1);
  await file.close();
  expect(await compareRam(a, b)).toEqual({ pages: 1, first: [SIZE / PAGE - 1] });
});

test('files of different size are not compared', async ({ lab }) => {
  const [a, b] = await makeFiles(lab.ramDir);
  await truncate(b, SIZE - PAGE);
  await expect(compareRam(a, b)).rejects.toThrow('bytes');
});
