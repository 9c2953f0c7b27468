import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

function fuzz(...args: readonly string[]) {
  const program = join(root, 'native/fuzz/run.mjs');
  return spawnSync(process.execPath, [program, '--engine', 'driver', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
}

describe('the fuzzer', () => {
  it.each([
    ['overflow', /heap-buffer-overflow/],
    ['leak', /detected memory leaks/],
    ['property', /property does not hold/],
    ['hang', /the target hangs/],
  ])(
    'finds a planted %s, keeps the input, and tells the seed and how to see it again',
    (mistake, report) => {
      const target = `planted_${mistake}`;
      const found = fuzz('--target', target, '--seconds', '30', '--seed', '5');
      expect(found.stdout).toMatch(report);
      expect(found.status).toBe(1);
      expect(found.stdout).toMatch(/^seed {4}5$/m);

      const [, replay = ''] = /^replay {2}npm run fuzz -- (.*)$/m.exec(found.stdout) ?? [];
      const words = replay.split(' ');
      expect(existsSync(join(root, words.at(-1) ?? ''))).toBe(true);
      const again = fuzz(...words);
      expect(again.stdout).toMatch(report);
      expect(again.status).toBe(1);
    },
    180_000,
  ); // it may have to be compiled first

  it('says what a target is called when it is given another name', () => {
    const { status, stderr } = fuzz('--target', 'none');
    expect(status).toBe(2);
    expect(stderr).toContain('preload_config');
  });
});
