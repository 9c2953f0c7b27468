import { isIPv4, isIPv6 } from 'node:net';
import { InvalidArgument, Unimplemented } from '@umem/errors';

/** Where a service listens or is found: TCP or a Unix socket. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** What a lane goes over: an address to connect to, or a connected socket that a process was started with. */
export type LaneAddress = Address | { readonly kind: 'fd'; readonly fd: number };

/** The largest number that a descriptor can have. */
const MAX_FD = 0x7fff_ffff;

/**
 * Reads `host:port`, `[v6]:port` or `unix:/absolute/path`. Throws InvalidArgument with those forms, also
 * for `fd:N`, which only lanes may have, and Unimplemented for `exec:COMMAND`, which the original had.
 */
export function parseAddress(text: string): Address {
  const address = parseLaneAddress(text);
  if (address.kind !== 'fd') return address;
  throw invalid(
    text,
    'a descriptor carries lanes only, between --lane-fds of a page server and --serve-fds of a source-agent',
  );
}

/**
 * As `parseAddress`, and `fd:N`: descriptor N of the process that opens the lane. Whether that process may
 * use it is for the process to say.
 */
export function parseLaneAddress(text: string): LaneAddress {
  if (text.startsWith('fd:')) {
    const number = text.slice('fd:'.length);
    const fd = Number(number);
    if (!/^\d{1,10}$/.test(number) || fd > MAX_FD)
      throw new InvalidArgument(`Address "${text}" must be fd:N with a descriptor's number, 0 to ${MAX_FD}`, {
        metadata: { address: text },
      });
    return { kind: 'fd', fd };
  }
  if (text.startsWith('exec:'))
    throw new Unimplemented(
      'Address "exec:…" is not served: a command that comes in a request would run with the rights of a service. Use host:port or unix:/absolute/path',
      { metadata: { address: 'exec:' } },
    );
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (!path.startsWith('/')) throw invalid(text, 'the path of a Unix socket must be absolute');
    if (path.includes('\0')) throw invalid(text, 'the path has a zero byte');
    if (Buffer.byteLength(path) > 107)
      throw invalid(text, `the path has ${Buffer.byteLength(path)} bytes and the kernel allows 107`);
    return { kind: 'unix', path };
  }
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:\s/[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const inBrackets = match?.[1];
  const host = inBrackets ?? match?.[2];
  if (!host || port > 65535 || (inBrackets && !isIPv6(inBrackets))) throw invalid(text, 'it is neither');
  return { kind: 'tcp', host, port };
}

/** The form that grpc-js takes, except for `fd:N`, and that `parseLaneAddress` reads. */
export function formatAddress(address: LaneAddress): string {
  if (address.kind === 'fd') return `fd:${address.fd}`;
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/** True for addresses that only this host can reach. */
export function isLocal(address: Address): boolean {
  if (address.kind === 'unix') return true;
  const { host } = address;
  // Not by the first letters alone: 127.0.0.1.example.org is a name that may mean any address.
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** True for addresses that mean every interface, so that nobody can dial them. */
export function isWildcard(address: Address): boolean {
  return address.kind === 'tcp' && (address.host === '0.0.0.0' || /^[0:]+$/.test(address.host));
}

function invalid(text: string, why: string): InvalidArgument {
  return new InvalidArgument(`Address "${text}" must be host:port or unix:/absolute/path; ${why}`, {
    metadata: { address: text },
  });
}
