import { loadAddon } from './load.js';
import { NativeError } from './errors.js';
import type { NativeAddon } from './native.js';

const SOCK_STREAM = 1;
/** AF_UNIX, AF_INET and AF_INET6: the kinds of socket over which Node.js can speak. */
const DOMAINS = [1, 2, 10];

const native: NativeAddon = loadAddon();

/**
 * Why a descriptor that this process was started with cannot carry a connection in both directions, and
 * what to do; null when it can. Moves no byte. `which` is its name in the answer.
 */
export function findSocketProblem(fd: number, which = `descriptor ${fd}`): string | null {
  try {
    const { domain, type, listening, connected, canReceive, canSend } = native.inspectSocket(fd);
    if (type !== SOCK_STREAM)
      return `${which} is a socket of type ${type}: pass a stream socket (SOCK_STREAM)`;
    if (!DOMAINS.includes(domain))
      return `${which} is a socket of address family ${domain}: pass a TCP or a Unix socket`;
    if (listening)
      return `${which} is a socket that listens: pass a connection that it accepted, or listen on an address`;
    if (!connected) return `${which} is a socket that is not connected: connect it before it is passed`;
    if (!canReceive && !canSend) return `${which} is a connection that has ended: pass a new one`;
    if (!canReceive)
      return `${which} receives nothing any more: the connection must be open in both directions`;
    if (!canSend) return `${which} can send nothing any more: the connection must be open in both directions`;
    return null;
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    if (error.errnoName === 'EBADF')
      return `${which} is not open: whoever starts this process must leave a connected socket open under that number`;
    if (error.errnoName === 'ENOTSOCK')
      return `${which} is no socket: pass a connected stream socket, for bytes must go both ways and a pipe or a file carries them one way`;
    throw error;
  }
}

/**
 * Moves a descriptor that was inherited to a number that no child process inherits, and closes the old
 * one: the connection ends when the new one is closed.
 */
export function adoptDescriptor(fd: number): number {
  const own = native.dupFd(fd);
  native.closeFd(fd);
  return own;
}
