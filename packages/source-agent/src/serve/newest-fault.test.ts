import { expect, test } from 'vitest';
import { NewestFault } from './newest-fault.js';

test('other threads see the newest fault, up to the largest page there can be', () => {
  const fault = new NewestFault();
  const other = new NewestFault(fault.share);
  expect(other.get()).toBeNull();
  for (const page of [
    { block: 0, pgoff: 0 },
    { block: 3, pgoff: 4294967295 },
  ]) {
    fault.set(page);
    expect(other.get()).toEqual(page);
  }
});
