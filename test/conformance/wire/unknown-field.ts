import { FROM_THE_FUTURE } from './bad-messages.js';

/** A message that consists of one message field, with a field of the future added to that. */
export function withUnknownField(message: Buffer): Buffer {
  const { value: length, end } = readVarint(message, 1);
  if (end + length !== message.length) throw new RangeError('The message has more than one field');
  const inner = Buffer.concat([message.subarray(end), FROM_THE_FUTURE]);
  return Buffer.concat([message.subarray(0, 1), varint(inner.length), inner]);
}

function readVarint(bytes: Buffer, from: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = from, shift = 0; ; at++, shift += 7) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, end: at + 1 };
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    bytes.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
    if (rest < 0x80) return Buffer.from(bytes);
  }
}
