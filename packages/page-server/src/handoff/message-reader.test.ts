import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_MESSAGE_BYTES, MessageReader } from './message-reader.js';

test('a message is complete where its brackets close, however it was cut into chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.array(fc.nat({ max: 40 })), (value, cuts) => {
      const bytes = Buffer.from(JSON.stringify(value));
      const reader = new MessageReader();
      let at = 0;
      let read: unknown[] | null = null;
      for (const cut of [...cuts, bytes.length]) {
        if (read) break;
        read = reader.push(bytes.subarray(at, at + cut));
        at = Math.min(bytes.length, at + cut);
      }
      expect(at).toBe(bytes.length);
      expect(read).toEqual(JSON.parse(bytes.toString()));
    }),
  );
});

test('brackets, quotes and backslashes in strings do not end it', () => {
  expect(new MessageReader().push(Buffer.from('[{"a":"]}\\"]"}]'))).toEqual([{ a: ']}"]' }]);
});

test('white space around it is nothing', () => {
  expect(new MessageReader().push(Buffer.from(' \n[1]\n'))).toEqual([1]);
});

test('what is not one JSON array is refused as soon as that is plain', () => {
  for (const text of ['{', '"', 'x', '[1] 2', '[}', '[nonsense]'])
    expect(() => new MessageReader().push(Buffer.from(text)), text).toThrow();
  const reader = new MessageReader();
  reader.push(Buffer.from('["'));
  expect(() => reader.push(Buffer.alloc(MAX_MESSAGE_BYTES, 'x'))).toThrow(/longer than 65536 bytes/);
});
