import { expect, test } from 'vitest';
import { memoryOf, parseStatus } from './memory-watch.js';

test('resident and anonymous memory are read from the kernel, in MiB', () => {
  const status = 'Name:\tnode\nVmHWM:\t  999999 kB\nVmRSS:\t  204800 kB\nRssAnon:\t   51200 kB\n';
  expect(parseStatus(status)).toEqual({ rssMiB: 200, anonMiB: 50 });
});

test('what the kernel does not say is no number', () => {
  expect(parseStatus('Name:\tkthreadd\n').rssMiB).toBeNaN();
});

test('this process has memory', async () => {
  const { rssMiB, anonMiB } = await memoryOf(process.pid);
  expect(anonMiB).toBeGreaterThan(1);
  expect(rssMiB).toBeGreaterThan(anonMiB);
});
