import { InvalidArgument, Unimplemented } from '@umem/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  formatAddress,
  isLocal,
  isWildcard,
  parseAddress,
  parseLaneAddress,
  type Address,
} from './address.js';

test.each<[string, Address]>([
  ['127.0.0.1:7001', { kind: 'tcp', host: '127.0.0.1', port: 7001 }],
  ['host-1.example:0', { kind: 'tcp', host: 'host-1.example', port: 0 }],
  ['[::1]:65535', { kind: 'tcp', host: '::1', port: 65535 }],
  ['unix:/run/umem/umemd.sock', { kind: 'unix', path: '/run/umem/umemd.sock' }],
  ['unix:/with:colon', { kind: 'unix', path: '/with:colon' }],
])('"%s" is read and written again', (text, address) => {
  expect(parseAddress(text)).toEqual(address);
  expect(formatAddress(address)).toBe(text);
});

test.each([
  '',
  ':7001',
  'host',
  'host:',
  'host:x',
  'host:65536',
  'host:-1',
  'host:1:2',
  '::1:7001',
  '[::1]',
  '[host]:1',
  'a b:1',
  'http://host:1',
  'unix:',
  'unix:relative.sock',
  '[1.2.3.4]:1',
  'unix:/a\0b',
  `unix:/${'x'.repeat(107)}`,
  'host/path:1',
  '[::1]:',
])('"%s" is refused and the forms are shown', (text) => {
  expect(() => parseAddress(text)).toThrow(InvalidArgument);
  expect(() => parseAddress(text)).toThrow('must be host:port or unix:/absolute/path');
});

test('no text makes it throw anything but InvalidArgument', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        expect(parseAddress(formatAddress(parseAddress(text)))).toEqual(parseAddress(text));
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidArgument);
      }
    }),
  );
});

test('only loopback and Unix sockets are local, and a name is never taken for an address', () => {
  for (const text of ['unix:/a', '127.0.0.1:1', '127.255.0.9:1', 'localhost:1', '[::1]:1'])
    expect(isLocal(parseAddress(text))).toBe(true);
  for (const text of [
    '0.0.0.0:1',
    '10.0.0.1:1',
    '127.0.0.1.example.org:1',
    '127.example:1',
    '[::]:1',
    '[fe80::1]:1',
    'host:1',
  ])
    expect(isLocal(parseAddress(text))).toBe(false);
});

test('wildcards are known', () => {
  for (const text of ['0.0.0.0:1', '[::]:1', '[0:0::0]:1']) expect(isWildcard(parseAddress(text))).toBe(true);
  for (const text of ['127.0.0.1:1', '[::1]:1', 'unix:/0', '10.0.0.0:1'])
    expect(isWildcard(parseAddress(text))).toBe(false);
});

test('a command in place of an address is refused as something that is not done, without repeating it', () => {
  expect(() => parseAddress('exec:rm -rf /')).toThrow(Unimplemented);
  expect(() => parseAddress('exec:rm -rf /')).toThrow(/host:port or unix:/);
  expect(() => parseAddress('exec:rm -rf /')).not.toThrow(/rm -rf/);
});

test.each(['fd:0', 'fd:3', 'fd:2147483647'])('%s is an address of a lane, and of nothing else', (text) => {
  const address = parseLaneAddress(text);
  expect(address).toEqual({ kind: 'fd', fd: Number(text.slice(3)) });
  expect(formatAddress(address)).toBe(text);
  expect(() => parseAddress(text)).toThrow(InvalidArgument);
  expect(() => parseAddress(text)).toThrow(/--lane-fds of a page server and --serve-fds of a source-agent/);
});

test.each(['fd:', 'fd:x', 'fd:-1', 'fd:+3', 'fd:3.5', 'fd: 3', 'fd:2147483648', 'fd:00000000003'])(
  '%s is no address, not even of a host of that name',
  (text) => {
    expect(() => parseLaneAddress(text)).toThrow('must be fd:N');
    expect(() => parseAddress(text)).toThrow(InvalidArgument);
  },
);

test.each(['127.0.0.1:1', 'unix:/run/a.sock'])('%s is an address of a lane as well', (text) => {
  expect(parseLaneAddress(text)).toEqual(parseAddress(text));
});

test('a lane is no way to a command either', () => {
  expect(() => parseLaneAddress('exec:nc host 1')).toThrow(Unimplemented);
});
