import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineOptions, isSwitch, toKey, toVariable, type ConfigOf } from './option.js';
import { address, boolean, bytes, integer, name, path } from './values.js';

const option = (flag: string) => ({ flag, description: 'Test', schema: z.string() });

test('a flag gives its key and its environment variable', () => {
  expect(toKey('tls-ca-2')).toBe('tlsCa2');
  expect(toVariable('max-bandwidth')).toBe('UMEM_MAX_BANDWIDTH');
});

test.each(['Listen', '--listen', 'listen_on', '', 'a--b'])('the flag "%s" is refused', (flag) => {
  expect(() => defineOptions({ listen: option(flag) })).toThrow('not kebab-case');
});

test('a key that is not its flag in camelCase is refused', () => {
  expect(() => defineOptions({ bandwidth: option('max-bandwidth') })).toThrow('must be maxBandwidth');
});

test('a flag that reads as a negation is refused', () => {
  expect(() => defineOptions({ noBackground: option('no-background') })).toThrow('opposite');
});

test('only options that take true as it is are switches', () => {
  const schemas = [
    boolean(),
    boolean().optional(),
    z.boolean(),
    z.string(),
    address(),
    bytes(),
    integer(),
    name(),
    path(),
  ];
  const switches = schemas.map((schema) => isSwitch({ flag: 'a', description: '', schema }));
  expect(switches).toEqual([true, true, true, false, false, false, false, false, false]);
});

test('the types of a configuration come from its schemas', () => {
  const _options = defineOptions({
    size: { flag: 'size', description: 'Size', schema: bytes() },
    kind: { flag: 'kind', description: 'Kind', schema: z.enum(['a', 'b']).optional() },
  });
  expectTypeOf<ConfigOf<typeof _options>>().toEqualTypeOf<{
    readonly size: number;
    readonly kind: 'a' | 'b' | undefined;
  }>();
});
