import { parseAddress } from '@umem/api';
import { expect, test } from 'vitest';
import { ConfigError } from '../config/config-error.js';
import { checkListenRule } from './listen-rule.js';

const rule = (listen: string, flags: { insecure?: boolean; insecureNetwork?: boolean } = {}) =>
  checkListenRule({ listen: parseAddress(listen), insecure: true, insecureNetwork: false, ...flags });

test.each(['127.0.0.1:0', '127.8.8.8:1', 'localhost:7001', '[::1]:7001', 'unix:/run/umem/a.sock'])(
  '%s is served in the clear',
  (listen) => {
    expect(rule(listen)).toBe(false);
  },
);

test.each([
  '0.0.0.0:7001',
  '[::]:7001',
  '10.0.0.1:7001',
  'host.example:7001',
  '127.0.0.1.example.org:1',
  '[::ffff:10.0.0.1]:1',
])('%s is refused, and served with a warning under --insecure-network', (listen) => {
  expect(() => rule(listen)).toThrow(ConfigError);
  expect(() => rule(listen)).toThrow(/--insecure-network/);
  expect(rule(listen, { insecureNetwork: true })).toBe(true);
});

test('TLS cannot be asked for yet', () => {
  expect(() => rule('127.0.0.1:0', { insecure: false })).toThrow(/needs TLS/);
});
