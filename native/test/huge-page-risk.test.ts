import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findHugePageRisk, findHugePageRiskIn, findHugePageRiskOf } from '../ts/index.js';

describe('transparent huge pages', () => {
  const risk = (shmemEnabled: string, mountHuge: string | null, isAdvised = false) =>
    findHugePageRisk({ shmemEnabled, mountHuge, isAdvised });

  it('can back a memfd where the kernel gives them to shared memory', () => {
    expect(risk('always', null)).toMatch(/shmem_enabled is "always": set it to "never" or "deny"/);
    expect(risk('within_size', null)).toMatch(/within_size/);
    expect(risk('advise', null, true)).toMatch(/a process asks for huge pages/);
    for (const setting of ['never', 'deny', '', 'advise']) expect(risk(setting, null), setting).toBeNull();
  });

  it('can back a file by the option of its mount, whatever the setting for memfds', () => {
    expect(risk('never', 'always')).toMatch(/huge= option of its tmpfs mount is "always": mount it with/);
    expect(risk('never', 'within_size')).not.toBeNull();
    expect(risk('always', 'advise', true)).not.toBeNull();
    expect(risk('always', 'never', true)).toBeNull();
    expect(risk('always', 'advise')).toBeNull();
  });

  it('are forced upon every file, or denied to every file, by the setting', () => {
    expect(risk('force', 'never')).toMatch(/force/);
    expect(risk('deny', 'always', true)).toBeNull();
  });

  it('are looked for in the mount of a directory, and of a file in it', () => {
    const directory = mkdtempSync('/dev/shm/umem-risk-');
    const fd = openSync(`${directory}/ram0`, 'w+');
    onTestFinished(() => {
      closeSync(fd);
      rmSync(directory, { recursive: true });
    });
    expect(findHugePageRiskIn(directory)).toBe(findHugePageRiskOf(fd, process.pid));
  });
});
