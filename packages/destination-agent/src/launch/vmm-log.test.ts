import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toTail, VmmLog } from './vmm-log.js';

describe('VmmLog', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'umem-vmm-log-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('quotes the last lines', async () => {
    const log = await VmmLog.create(join(dir, 'vmm.log'));
    await writeFile(log.path, Array.from({ length: 500 }, (_, i) => `line ${i}`).join('\n'));
    const tail = await log.tail();
    expect(tail.split('\n')).toHaveLength(10);
    expect(tail).toMatch(/line 499$/);
    await log.close();
    await log.close();
    expect(await log.tail()).toBe('');
    expect(log.fd).toBeNull();
  });

  it("reads its own file, whatever the VMM's user has put under its name", async () => {
    const log = await VmmLog.create(join(dir, 'vmm.log'));
    await writeFile(log.path, 'true words');
    await rename(log.path, join(dir, 'moved'));
    await symlink('/etc/passwd', log.path);
    expect(await log.tail()).toBe('true words');
    await log.close();
  });

  it('is never made through a symbolic link', async () => {
    await symlink(join(dir, 'elsewhere'), join(dir, 'vmm.log'));
    await expect(VmmLog.create(join(dir, 'vmm.log'))).rejects.toThrow(/EEXIST/);
  });
});

describe('toTail', () => {
  it('takes control characters out that would garble a terminal', () => {
    expect(toTail('\u001b[31mred\u0007\r\n\n\nplain\n')).toBe(' [31mred\nplain');
  });
});
