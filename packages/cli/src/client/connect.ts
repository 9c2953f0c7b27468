import { credentials, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { CONTROL_CHANNEL } from '@umem/api';
import { Unimplemented } from '@umem/errors';

/** The services umemctl talks to, in the words of its messages. */
export type PeerKind = 'source-agent' | 'destination-agent' | 'page-server' | 'agent';

interface ClosableClient {
  close(): void;
}

/** A client with the name under which messages call its peer. */
export interface Peer<Client> {
  readonly client: Client;
  /** "source-agent 10.0.0.1:7001" */
  readonly name: string;
  readonly address: string;
  close(): void;
}

type ClientConstructor<Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions,
) => Client;

/** A peer that went away is dialled again within two seconds, so that watching resumes quickly. */
const CHANNEL: ChannelOptions = {
  ...CONTROL_CHANNEL,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

/** Opens a client; nothing is dialled before its first call. */
export function openPeer<Client extends ClosableClient>(
  Client: ClientConstructor<Client>,
  kind: PeerKind,
  address: string,
): Peer<Client> {
  const client = new Client(address, credentials.createInsecure(), CHANNEL);
  return { client, name: `${kind} ${address}`, address, close: () => client.close() };
}

/** Runs `work` with a client that is closed afterwards. */
export async function withPeer<Client extends ClosableClient, Result>(
  Client: ClientConstructor<Client>,
  kind: PeerKind,
  address: string,
  work: (peer: Peer<Client>) => Promise<Result>,
): Promise<Result> {
  const peer = openPeer(Client, kind, address);
  try {
    return await work(peer);
  } catch (error) {
    if (!(error instanceof Unimplemented)) throw error;
    // What is not there depends on whom one asks: say who it was.
    throw new Unimplemented(`${peer.name} cannot do this: ${error.message}`, { cause: error });
  } finally {
    peer.close();
  }
}
