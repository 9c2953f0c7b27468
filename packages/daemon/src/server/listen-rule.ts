import { formatAddress, isLocal, type Address } from '@umem/api';
import { ConfigError } from '../config/config-error.js';

/** What decides where a daemon may listen. */
export interface ListenRule {
  readonly listen: Address;
  readonly insecure: boolean;
  readonly insecureNetwork: boolean;
}

/**
 * Refuses to serve in the clear where others can listen in. True when it is allowed only because
 * --insecure-network says so, which deserves a warning. Throws ConfigError.
 */
export function checkListenRule({ listen, insecure, insecureNetwork }: ListenRule): boolean {
  if (isLocal(listen)) {
    if (insecure || insecureNetwork) return false;
    throw new ConfigError(['--no-insecure needs TLS, which this version does not have: leave it out']);
  }
  if (insecureNetwork) return true;
  throw new ConfigError([
    `--listen ${formatAddress(listen)} is reachable from the network and this version serves without TLS: ` +
      'listen on a loopback address or unix:PATH, or accept with --insecure-network that whoever reaches it can read guest memory',
  ]);
}
