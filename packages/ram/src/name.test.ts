import { expect, test } from 'vitest';
import { isName } from './name.js';

test.each(['a', 'vm1', 'pc.ram', 'VM_1-x', '0', 'x'.repeat(63)])('"%s" is a name', (text) => {
  expect(isName(text)).toBe(true);
});

test.each(['', '.', '..', '../x', 'a/b', '-a', '_a', 'a b', 'a\n', 'a\0', 'ä', 'x'.repeat(64)])(
  '%j is not a name',
  (text) => {
    expect(isName(text)).toBe(false);
  },
);
