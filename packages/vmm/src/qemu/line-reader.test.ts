import { describe, expect, it } from 'vitest';
import { LineReader } from './line-reader.js';

function readAll(reader: LineReader, ...chunks: string[]): string[] {
  return chunks.flatMap((chunk) => [...reader.push(Buffer.from(chunk))]);
}

describe('line reader', () => {
  it('joins lines that arrive in pieces and splits chunks that hold several', () => {
    expect(readAll(new LineReader(100), 'a', 'b\ncd\n\ne', 'f\n')).toEqual(['ab', 'cd', '', 'ef']);
  });

  it('keeps a character whole whose bytes arrive in two chunks', () => {
    const bytes = Buffer.from('é\n');
    const reader = new LineReader(100);
    expect([...reader.push(bytes.subarray(0, 1)), ...reader.push(bytes.subarray(1))]).toEqual(['é']);
  });

  it('takes a line of exactly the limit and refuses one byte more, finished or not', () => {
    expect(readAll(new LineReader(4), 'abcd\n')).toEqual(['abcd']);
    expect(() => readAll(new LineReader(4), 'abcde\n')).toThrow(/longer than 4 bytes/);
    expect(() => readAll(new LineReader(4), 'abc', 'de')).toThrow(/longer than 4 bytes/);
  });
});
