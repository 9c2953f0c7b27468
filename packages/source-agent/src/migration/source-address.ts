import { formatAddress, isWildcard, parseLaneAddress, type Address } from '@umem/api';
import { HostPrecondition, InvalidArgument } from '@umem/errors';

/** Where this agent listens, and what it tells others. */
export interface OwnAddresses {
  /** As bound. */
  readonly listen: Address;
  /** --advertise; null: --listen. */
  readonly advertise: Address | null;
  /** As bound, one per background worker. */
  readonly workers: readonly Address[];
}

/** Where a destination's page server finds this agent. */
export interface SourceAddresses {
  readonly demand: string;
  readonly background: readonly string[];
}

/**
 * Chooses the addresses for one migration. `asked`: the caller's wish, or empty; several with commas
 * between them are the demand lane's and then each background lane's. Throws HostPrecondition when nobody
 * could use the address, InvalidArgument when it is none.
 */
export function chooseAddresses(
  asked: string,
  { listen, advertise, workers }: OwnAddresses,
): SourceAddresses {
  const wishes = asked === '' ? [] : asked.split(',').map((text) => parseLaneAddress(text.trim()));
  for (const wish of wishes)
    if (wish.kind !== 'fd' && isWildcard(wish))
      throw new InvalidArgument(
        `source_address ${formatAddress(wish)} means every interface: nobody can dial it`,
      );
  const [demand = advertise ?? listen, ...background] = wishes;
  if (background.length > 0)
    return { demand: formatAddress(demand), background: background.map(formatAddress) };
  if (demand.kind === 'fd')
    throw new InvalidArgument(
      `source_address ${asked} names one connection, which carries the demand lane only: name one for each background lane too, for example ${asked},fd:${demand.fd + 1}`,
    );
  if (isWildcard(demand))
    throw new HostPrecondition(
      `The source-agent listens on ${formatAddress(demand)}, which nobody can dial: start it with --advertise ADDR, or give a source address with the migration`,
    );
  return {
    demand: formatAddress(demand),
    background: workers.map((worker) => formatAddress(reach(worker, demand))),
  };
}

/** A worker that listens on the network is found on the host under which the agent is found. */
function reach(worker: Address, demand: Address): Address {
  if (worker.kind === 'unix') return worker;
  if (demand.kind === 'tcp') return { ...worker, host: demand.host };
  if (!isWildcard(worker)) return worker;
  throw new HostPrecondition(
    `Background workers listen on ${formatAddress(worker)}, which nobody can dial: give --background-listen an address of this host`,
  );
}
