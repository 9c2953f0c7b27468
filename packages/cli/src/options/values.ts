import { formatAddress, parseAddress, parseLaneAddress } from '@umem/api';
import { messageOf } from '@umem/errors';
import { isName, NAME_RULE, parseBytes } from '@umem/ram';
import { InvalidArgumentError } from 'commander';

/** `host:port` or `unix:/path`, as grpc-js takes it. */
export function toAddress(text: string): string {
  return orInvalid(() => formatAddress(parseAddress(text)));
}

/** Addresses of lanes with commas between them, where `fd:N` is allowed too. */
export function toLaneAddresses(text: string): string {
  return orInvalid(() =>
    text
      .split(',')
      .map((each) => formatAddress(parseLaneAddress(each.trim())))
      .join(','),
  );
}

/** The name of a VM, an incoming VM or a profile. */
export function toName(text: string): string {
  if (!isName(text)) throw new InvalidArgumentError(`A name is ${NAME_RULE}.`);
  return text;
}

/** A migration's id or its VM's name: never empty, never with spaces. */
export function toMigrationName(text: string): string {
  if (!/^[\w.:-]{1,128}$/.test(text))
    throw new InvalidArgumentError('It is neither a migration id nor the name of a VM.');
  return text;
}

/** An absolute path on the agent's host. */
export function toAbsolutePath(text: string): string {
  if (!text.startsWith('/'))
    throw new InvalidArgumentError("The path is opened on the agent's host and must be absolute.");
  return text;
}

/** A size such as `64MiB`, in bytes. */
export function toByteCount(text: string): number {
  return orInvalid(() => parseBytes(text));
}

/** A rate such as `64MiB` or `64MiB/s`, in bytes per second. */
export function toByteRate(text: string): number {
  return toByteCount(text.replace(/\/s$/, ''));
}

/** A duration such as `90`, `90s` or `2m`, in whole seconds, at least one. */
export function toSeconds(text: string): number {
  const match = /^(\d{1,7})(s|m|h)?$/.exec(text);
  const seconds = Number(match?.[1]) * ({ s: 1, m: 60, h: 3600 }[match?.[2] ?? 's'] ?? 1);
  if (!(seconds >= 1)) throw new InvalidArgumentError('Write seconds, for example 90, 90s or 2m.');
  return seconds;
}

/** A number of things, at least one. */
export function toCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1.');
  return Number(text);
}

/** A set of flags as one number, decimal or 0x…, of 32 bits. */
export function toFlagBits(text: string): number {
  const bits = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : NaN;
  if (!(bits <= 0xffff_ffff)) throw new InvalidArgumentError('It must be a number from 0 to 0xffffffff.');
  return bits;
}

function orInvalid<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}
