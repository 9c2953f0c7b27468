import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Address } from '@umem/api';
import type { Registry } from 'prom-client';
import type { CommonConfig } from './config/common-options.js';
import type { ConfigOf, Options } from './config/option.js';
import type { Logger } from './log/logger.js';

/** A gRPC service with its handlers. */
export interface ServedService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

/** What a daemon is given when it starts. */
export interface ServiceContext<C> {
  readonly config: C & CommonConfig;
  readonly log: Logger;
  /** Takes the service's `umem_*` metrics; served at --metrics-listen. */
  readonly metrics: Registry;
  /** Exists, has mode 0700 and belongs to this process alone. */
  readonly stateDir: string;
}

/** A daemon that has started. */
export interface RunningService {
  readonly services: readonly ServedService[];
  /** Called when the server is bound, before `listening` is logged; `address` has the real port. */
  listening?(address: Address): void | Promise<void>;
  /**
   * Brings work to an end; called once, when health says NOT_SERVING and calls are still answered.
   * What it has not done within --shutdown-grace is left undone.
   */
  stop(): Promise<void>;
}

/** A program of its own: what is the same in all of them is added by `runDaemon`. */
export interface Daemon<O extends Options = Options> {
  /** The program's name: "umem-source-agent". */
  readonly name: string;
  /** One sentence for --help. */
  readonly description: string;
  /** Its own options; a key of the common ones may be repeated to give it another default. */
  readonly options: O;
  /**
   * Builds the service. An InvalidArgument thrown here ends the program with exit code 2, a failed
   * precondition with 3.
   */
  start(context: ServiceContext<ConfigOf<O>>): Promise<RunningService>;
}
