import { resolve } from 'node:path';
import { parseAddress, type Address } from '@umem/api';
import { messageOf } from '@umem/errors';
import { formatBytes, isName, NAME_RULE, parseBytes } from '@umem/ram';
import { z } from 'zod';

/** Inclusive bounds, in the unit of the value. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** A size or a rate in bytes: `4096`, `64MiB`, `1.5GiB`. Default bounds: 0 and up. */
export function bytes(bounds: Bounds = {}): z.ZodType<number> {
  return read((value) => within(bounds, 'a size', formatBytes, parseBytes(textOf(value, 'a size'))));
}

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
};

/** A duration in milliseconds: `200ms`, `5s`, `1.5min`, `2h`; a bare number only when it is 0. */
export function durationMs(bounds: Bounds = {}): z.ZodType<number> {
  return read((value) => {
    const text = textOf(value, 'a duration').trim();
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)$/.exec(text);
    const ms = text === '0' ? 0 : match ? Number(match[1]) * (MILLISECONDS[match[2] ?? ''] ?? NaN) : NaN;
    if (!Number.isFinite(ms))
      throw new RangeError(`"${text}" is not a duration: write for example 200ms, 5s or 2min`);
    return within(bounds, 'a duration', formatMs, Math.round(ms));
  });
}

/** A whole number. Default bounds: 0 and up. */
export function integer(bounds: Bounds = {}): z.ZodType<number> {
  return read((value) => {
    const text = textOf(value, 'a whole number').trim();
    if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(Number(text)))
      throw new RangeError(`"${text}" is not a whole number`);
    return within(bounds, 'a number', String, Number(text));
  });
}

/** On or off: a flag without a value, `true` or `false` elsewhere. */
export function boolean(): z.ZodType<boolean> {
  return read((value) => {
    if (typeof value === 'boolean') return value;
    if (value === 'true' || value === '1') return true;
    if (value === 'false' || value === '0') return false;
    throw new RangeError(`${JSON.stringify(value)} is neither true nor false`);
  });
}

/** Where to listen or whom to call: `host:port`, `[v6]:port` or `unix:/absolute/path`. */
export function address(): z.ZodType<Address> {
  return read((value) => parseAddress(textOf(value, 'an address')));
}

/**
 * Descriptors that the process was started with: numbers from 3 up, with commas or as a YAML list. What they
 * are is not looked at.
 */
export function descriptors(): z.ZodType<number[]> {
  return listOf(
    read((value) => {
      const text = textOf(value, "a descriptor's number").trim();
      const fd = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      if (fd < 3)
        throw new RangeError(
          `Descriptor ${fd} is standard input, output or error: pass the socket as 3 or above, for example with 3<&${fd} in a shell`,
        );
      if (!(fd <= 0x7fff_ffff))
        throw new RangeError(`"${text}" is not a descriptor's number: write for example 3 or 3,4`);
      return fd;
    }),
  );
}

/** The name of a VM, block or profile. */
export function name(): z.ZodType<string> {
  return read((value) => {
    const text = textOf(value, 'a name');
    if (!isName(text)) throw new RangeError(`"${text}" is not a name: use ${NAME_RULE}`);
    return text;
  });
}

/** The path of a file or directory; a relative one is taken from the working directory. */
export function path(): z.ZodType<string> {
  return read((value) => {
    const text = textOf(value, 'a path');
    if (text === '' || text.includes('\0')) throw new RangeError(`${JSON.stringify(text)} is not a path`);
    return resolve(text);
  });
}

/** Several values: a YAML list, or text with commas between them. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<T[]> {
  return z.preprocess(
    (value) => (typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value),
    z.array(item),
  );
}

/** A schema from a function that throws what is wrong with a value. */
function read<T>(parse: (value: unknown) => T): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  });
}

function textOf(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  throw new RangeError(
    value === undefined ? `It must be ${what}` : `${JSON.stringify(value)} is not ${what}`,
  );
}

function within(
  { min = 0, max = Infinity }: Bounds,
  what: string,
  format: (n: number) => string,
  n: number,
): number {
  if (n >= min && n <= max) return n;
  const limits = max === Infinity ? `at least ${format(min)}` : `from ${format(min)} to ${format(max)}`;
  throw new RangeError(`It must be ${what} ${limits}, not ${format(n)}`);
}

function formatMs(ms: number): string {
  return ms < 1000 || ms % 100 !== 0 ? `${ms}ms` : `${ms / 1000}s`;
}
