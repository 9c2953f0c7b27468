import { join } from 'node:path';
import { formatAddress, isLocal, type Address } from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import type { SourceAgentConfig } from './config.js';

/** Where the first background worker listens. Throws InvalidArgument for what may not be served. */
export function toBackgroundListen(
  {
    listen,
    backgroundListen,
    insecureNetwork,
  }: Pick<SourceAgentConfig, 'listen' | 'backgroundListen' | 'insecureNetwork'>,
  stateDir: string,
): Address {
  if (!backgroundListen)
    return listen.kind === 'tcp'
      ? { ...listen, port: 0 }
      : { kind: 'unix', path: join(stateDir, 'background.sock') };
  if (!isLocal(backgroundListen) && !insecureNetwork)
    throw new InvalidArgument(
      `--background-listen ${formatAddress(backgroundListen)} is reachable from the network and this version serves without TLS: ` +
        'use a loopback address or unix:PATH, or accept with --insecure-network that whoever reaches it can read guest memory',
    );
  return backgroundListen;
}
