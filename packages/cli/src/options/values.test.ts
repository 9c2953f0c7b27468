import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import {
  toAbsolutePath,
  toAddress,
  toByteRate,
  toCount,
  toFlagBits,
  toLaneAddresses,
  toMigrationName,
  toName,
  toSeconds,
} from './values.js';

describe('values of flags', () => {
  it.each<[(text: string) => unknown, string, unknown]>([
    [toAddress, '127.0.0.1:7001', '127.0.0.1:7001'],
    [toAddress, '[::1]:7001', '[::1]:7001'],
    [toAddress, 'unix:/run/a.sock', 'unix:/run/a.sock'],
    [toLaneAddresses, '10.0.0.1:7001', '10.0.0.1:7001'],
    [toLaneAddresses, 'fd:3, fd:4,unix:/run/a.sock', 'fd:3,fd:4,unix:/run/a.sock'],
    [toByteRate, '64MiB', 64 * 2 ** 20],
    [toByteRate, '1.5GiB/s', 1.5 * 2 ** 30],
    [toByteRate, '0', 0],
    [toSeconds, '90', 90],
    [toSeconds, '2m', 120],
    [toSeconds, '1h', 3600],
    [toCount, '7', 7],
    [toFlagBits, '1', 1],
    [toFlagBits, '0xffffffff', 0xffff_ffff],
    [toName, 'web-1.a_b', 'web-1.a_b'],
    [toMigrationName, 'mig-7f3a', 'mig-7f3a'],
    [toAbsolutePath, '/run/a', '/run/a'],
  ])('%O reads %s', (read, text, value) => {
    expect(read(text)).toEqual(value);
  });

  it.each<[(text: string) => unknown, string]>([
    [toAddress, '127.0.0.1'],
    [toAddress, '127.0.0.1:99999'],
    [toAddress, 'unix:a.sock'],
    [toAddress, 'fd:3'],
    [toLaneAddresses, 'fd:3,'],
    [toLaneAddresses, 'exec:nc host 1'],
    [toByteRate, '-1'],
    [toByteRate, '64 parsecs'],
    [toSeconds, '0'],
    [toSeconds, '1d'],
    [toSeconds, ''],
    [toCount, '0'],
    [toCount, '1e3'],
    [toFlagBits, '4294967296'],
    [toFlagBits, 'x'],
    [toName, '.hidden'],
    [toName, ''],
    [toMigrationName, 'a/b'],
    [toAbsolutePath, 'a'],
  ])('%O refuses "%s"', (read, text) => {
    expect(() => read(text)).toThrow(InvalidArgumentError);
  });
});
