import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Internal } from '@umem/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createLogger } from '../log/logger.js';
import { temporaryDir } from '../testing/temporary-dir.js';
import { StateFile } from './state-file.js';

const schema = z.strictObject({ vm: z.string(), sizes: z.array(z.number()) });

async function fixture() {
  const dir = await temporaryDir();
  const path = join(dir, 'vms.json');
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  const log = createLogger({ service: 'test', level: 'info', destination });
  return { dir, path, lines, log, file: new StateFile(path, { version: 1, schema, log }) };
}

test('what was written is read again, by another process too', async () => {
  const { path, file } = await fixture();
  const value = fc.record({ vm: fc.string(), sizes: fc.array(fc.nat()) });
  await fc.assert(
    fc.asyncProperty(value, async (written) => {
      await file.write(written);
      expect(await new StateFile(path, { version: 1, schema }).read()).toEqual(written);
    }),
    { numRuns: 30 },
  );
});

test('a file that was never written is null', async () => {
  expect(await (await fixture()).file.read()).toBeNull();
});

test('only the owner may read the file, and nothing else is left behind', async () => {
  const { dir, path, file } = await fixture();
  await file.write({ vm: 'a', sizes: [] });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(dir)).toEqual(['vms.json']);
});

test('writes that overlap end with the last one', async () => {
  const { file } = await fixture();
  await Promise.all(Array.from({ length: 20 }, (_, i) => file.write({ vm: 'a', sizes: [i] })));
  expect(await file.read()).toEqual({ vm: 'a', sizes: [19] });
});

test('a crash between the temporary file and the rename leaves the old value', async () => {
  const { path, file } = await fixture();
  await file.write({ vm: 'old', sizes: [] });
  await writeFile(`${path}.tmp`, '{"version":1,"value":{"vm":"ha');
  expect(await file.read()).toEqual({ vm: 'old', sizes: [] });
  await file.write({ vm: 'new', sizes: [] });
  expect(await file.read()).toEqual({ vm: 'new', sizes: [] });
});

test.each([
  ['empty', ''],
  ['truncated', '{"version":1,"value":{"vm":"a","si'],
  ['not JSON', '\u0000\u0001binary'],
  ['of another version', '{"version":2,"value":{"vm":"a","sizes":[]}}'],
  ['of another program', '{"name":"package","private":true}'],
  ['wrong in a field', '{"version":1,"value":{"vm":"a","sizes":["x"]}}'],
  ['null', 'null'],
])('a file that is %s is set aside, reported, and does not stand in the way', async (_, text) => {
  const { dir, path, lines, file } = await fixture();
  await writeFile(path, text);
  expect(await file.read()).toBeNull();
  const [aside] = await readdir(dir);
  expect(aside).toMatch(/^vms\.json\.bad-\d{8}T\d+Z$/);
  expect(await readFile(join(dir, aside ?? ''), 'utf8')).toBe(text);
  expect(lines).toMatchObject([{ event: 'stateFileSetAside', path, aside: join(dir, aside ?? '') }]);
  await file.write({ vm: 'b', sizes: [1] });
  expect(await file.read()).toEqual({ vm: 'b', sizes: [1] });
});

test('a value that could not be read again is refused and the old one stays', async () => {
  const { file } = await fixture();
  await file.write({ vm: 'a', sizes: [1] });
  expect(() => file.write({ vm: 'a', sizes: [NaN] })).toThrow(Internal);
  expect(await file.read()).toEqual({ vm: 'a', sizes: [1] });
});

test('a write that fails is told to its caller, and the next one works', async () => {
  const { dir } = await fixture();
  const path = join(dir, 'sub', 'vms.json');
  const file = new StateFile(path, { version: 1, schema });
  await expect(file.write({ vm: 'a', sizes: [] })).rejects.toThrow('ENOENT');
  await mkdir(join(dir, 'sub'));
  await file.write({ vm: 'b', sizes: [] });
  expect(await file.read()).toEqual({ vm: 'b', sizes: [] });
});

test("a directory in the file's place is an error, not a missing value", async () => {
  const { path, file } = await fixture();
  await mkdir(path);
  await expect(file.read()).rejects.toThrow('EISDIR');
});

test('remove removes, also what is not there', async () => {
  const { file } = await fixture();
  await file.write({ vm: 'a', sizes: [] });
  await file.remove();
  await file.remove();
  expect(await file.read()).toBeNull();
});
