import { formatAddress, parseAddress } from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import { expect, test } from 'vitest';
import { toBackgroundListen } from './background-listen.js';

const choose = (listen: string, backgroundListen?: string, insecureNetwork = false): string =>
  formatAddress(
    toBackgroundListen(
      {
        listen: parseAddress(listen),
        backgroundListen: backgroundListen === undefined ? undefined : parseAddress(backgroundListen),
        insecureNetwork,
      },
      '/state',
    ),
  );

test('background workers listen where the agent does, unless told otherwise', () => {
  expect(choose('10.0.0.1:7001', undefined, true)).toBe('10.0.0.1:0');
  expect(choose('unix:/run/a.sock')).toBe('unix:/state/background.sock');
  expect(choose('127.0.0.1:7001', '127.0.0.2:7100')).toBe('127.0.0.2:7100');
  expect(choose('127.0.0.1:7001', '0.0.0.0:7100', true)).toBe('0.0.0.0:7100');
});

test('they do not listen on the network unless that is accepted', () => {
  expect(() => choose('127.0.0.1:7001', '0.0.0.0:7100')).toThrow(InvalidArgument);
  expect(() => choose('127.0.0.1:7001', '10.0.0.1:7100')).toThrow(/--insecure-network/);
});
