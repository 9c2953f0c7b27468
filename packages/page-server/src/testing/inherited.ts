import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { native } from '@umem/native';

/** A connection to host:port as a bare descriptor, like one that a process was started with. */
export async function inheritConnection(address: string): Promise<number> {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port) });
  await once(socket, 'connect');
  return inherit(socket);
}

/** The descriptor of a socket that has read nothing; the socket itself is gone then. */
export function inherit(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } };
  if (handle?.fd === undefined) throw new Error('The socket has no descriptor');
  const fd = native.dupFd(handle.fd);
  socket.destroy();
  return fd;
}
