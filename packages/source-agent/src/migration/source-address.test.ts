import { parseAddress } from '@umem/api';
import { HostPrecondition, InvalidArgument } from '@umem/errors';
import { expect, test } from 'vitest';
import { chooseAddresses } from './source-address.js';

const own = (listen: string, advertise: string | null, ...workers: string[]) => ({
  listen: parseAddress(listen),
  advertise: advertise === null ? null : parseAddress(advertise),
  workers: workers.map(parseAddress),
});

test.each([
  ['', own('127.0.0.1:7001', null, '127.0.0.1:4000'), '127.0.0.1:7001', ['127.0.0.1:4000']],
  [
    '',
    own('0.0.0.0:7001', '10.0.0.5:7001', '0.0.0.0:4000', '0.0.0.0:4001'),
    '10.0.0.5:7001',
    ['10.0.0.5:4000', '10.0.0.5:4001'],
  ],
  ['src.example:7001', own('0.0.0.0:7001', null, '0.0.0.0:4000'), 'src.example:7001', ['src.example:4000']],
  ['10.1.1.1:9', own('0.0.0.0:7001', '10.0.0.5:7001', '10.0.0.5:4000'), '10.1.1.1:9', ['10.1.1.1:4000']],
  ['', own('[::1]:7001', null, '[::1]:4000'), '[::1]:7001', ['[::1]:4000']],
  ['', own('unix:/run/a.sock', null, 'unix:/run/b.sock'), 'unix:/run/a.sock', ['unix:/run/b.sock']],
  ['unix:/run/a.sock', own('127.0.0.1:7001', null, '127.0.0.1:4000'), 'unix:/run/a.sock', ['127.0.0.1:4000']],
  ['fd:3,fd:4', own('127.0.0.1:7001', null, '127.0.0.1:4000'), 'fd:3', ['fd:4']],
  ['fd:3, fd:5, 10.0.0.5:9', own('0.0.0.0:7001', null, '0.0.0.0:4000'), 'fd:3', ['fd:5', '10.0.0.5:9']],
  ['unix:/run/a.sock,fd:9', own('127.0.0.1:7001', null), 'unix:/run/a.sock', ['fd:9']],
])('asked for "%s" it says where it is found', (asked, addresses, demand, background) => {
  expect(chooseAddresses(asked, addresses)).toEqual({ demand, background });
});

test('an address that nobody can dial is refused, with the flag that helps', () => {
  expect(() => chooseAddresses('', own('0.0.0.0:7001', null))).toThrow(HostPrecondition);
  expect(() => chooseAddresses('', own('[::]:7001', null))).toThrow(/--advertise/);
  expect(() => chooseAddresses('0.0.0.0:1', own('127.0.0.1:7001', null))).toThrow(InvalidArgument);
  const hidden = own('unix:/run/a.sock', null, '0.0.0.0:4000');
  expect(() => chooseAddresses('', hidden)).toThrow(/--background-listen/);
});

test('one descriptor alone is refused, for the background needs connections of its own', () => {
  const asking = (): unknown => chooseAddresses('fd:3', own('127.0.0.1:7001', null, '127.0.0.1:4000'));
  expect(asking).toThrow(InvalidArgument);
  expect(asking).toThrow('for example fd:3,fd:4');
});

test.each(['fd:3,', 'fd:3,0.0.0.0:1', 'fd:x,fd:4', ',fd:3'])('a list like "%s" is refused', (asked) => {
  expect(() => chooseAddresses(asked, own('127.0.0.1:7001', null))).toThrow(InvalidArgument);
});
