import { credentials } from '@grpc/grpc-js';
import {
  call,
  CONTROL_CHANNEL,
  fromServiceError,
  IncomingServiceClient,
  toBlockMessages,
  type Incoming,
  type LaneTarget,
  type Placement,
} from '@umem/api';
import { HostPrecondition, NotFound } from '@umem/errors';
import type { RamBlock } from '@umem/ram';
import type { Readable } from 'node:stream';
import { sendDeviceState } from './device-state.js';

/** How long the destination waits for its VMM's handoff and QMP. */
const CONNECT_TIMEOUT_MS = 30_000;

/** Longest wait for calls that start a process or load state on the other host. */
const SLOW_CALL_MS = 60_000;

/** How the destination shall take the VM in. */
export interface Intake {
  readonly vhostUserDevices: readonly string[];
  readonly profile: string;
  readonly placement: Placement;
  readonly postcopyFlags: number;
}

/** One incoming VM on a destination-agent, as its source drives it. */
export class Destination {
  readonly #client: IncomingServiceClient;

  constructor(
    readonly address: string,
    /** The VM's name. */
    readonly vm: string,
    readonly migrationId: string,
  ) {
    this.#client = new IncomingServiceClient(address, credentials.createInsecure(), CONTROL_CHANNEL);
  }

  /** The incoming VM; null when there is none of that name. */
  async find(signal?: AbortSignal): Promise<Incoming | null> {
    try {
      return await call(this.#client, this.#client.getIncoming, { name: this.vm }, this.#settings(signal));
    } catch (error) {
      if (error instanceof NotFound) return null;
      throw error;
    }
  }

  /** Rejects with HostPrecondition, naming each check that failed with its fix. */
  async preflight(
    blocks: readonly RamBlock[],
    { profile, placement, vhostUserDevices }: Intake,
    signal: AbortSignal,
  ): Promise<void> {
    const request = {
      name: this.vm,
      blocks: toBlockMessages(blocks),
      profile,
      placement,
      vhostUserDevices: [...vhostUserDevices],
    };
    const { checks } = await call(
      this.#client,
      this.#client.preflight,
      request,
      this.#settings(signal, SLOW_CALL_MS),
    );
    const failed = checks.filter(({ passed }) => !passed);
    if (failed.length === 0) return;
    const list = failed.map(
      ({ check, finding, fix }) => `${check}: ${finding}${fix === '' ? '' : `; ${fix}`}`,
    );
    throw new HostPrecondition(
      `The destination ${this.address} cannot take VM "${this.vm}": ${list.join('. ')}`,
      {
        metadata: { failed: failed.map(({ check }) => check).join(',') },
      },
    );
  }

  prepare(blocks: readonly RamBlock[], intake: Intake, signal: AbortSignal): Promise<Incoming> {
    const vhostUserDevices = [...intake.vhostUserDevices];
    const request = { name: this.vm, blocks: toBlockMessages(blocks), ...intake, vhostUserDevices };
    return call(this.#client, this.#client.prepareIncoming, request, this.#settings(signal, SLOW_CALL_MS));
  }

  /** `confirmPlaced`: the page server shall say which pages are in place. */
  connect(
    target: LaneTarget,
    blocks: readonly RamBlock[],
    { confirmPlaced }: { confirmPlaced: boolean },
    signal: AbortSignal,
  ): Promise<Incoming> {
    const request = {
      name: this.vm,
      target,
      blocks: toBlockMessages(blocks),
      timeoutMs: CONNECT_TIMEOUT_MS,
      confirmPlaced,
    };
    return call(this.#client, this.#client.connectIncoming, request, this.#settings(signal, SLOW_CALL_MS));
  }

  /** Moves device state; resolves with its size in bytes when the destination's VMM has loaded it. */
  loadDeviceState(state: Readable, signal: AbortSignal): Promise<number> {
    const { vm, migrationId, address } = this;
    return sendDeviceState(this.#client, state, { vm, migrationId, peer: peerName(address), signal });
  }

  /** Runs the guest. Once this was called, the source must never run it again. */
  resume(): Promise<Incoming> {
    const request = { name: this.vm, migrationId: this.migrationId };
    return call(this.#client, this.#client.resumeIncoming, request, this.#settings(undefined, SLOW_CALL_MS));
  }

  /** Cleans up a guest that has never run there; when it resolves, it never will. */
  async giveUp(reason: string): Promise<void> {
    const request = { name: this.vm, migrationId: this.migrationId, reason };
    await call(this.#client, this.#client.abortIncoming, request, this.#settings());
  }

  /** Cleans up a guest that has never run there. One that is not there any more is as good. */
  async abort(reason: string): Promise<void> {
    try {
      await this.giveUp(reason);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
    }
  }

  /** Follows the incoming VM until the stream ends; rejects with what broke it. */
  watch(intervalMs: number, signal: AbortSignal, onIncoming: (incoming: Incoming) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream = this.#client.watchIncoming({ name: this.vm, intervalMs });
      const cancel = (): void => stream.cancel();
      const done = (settle: () => void): void => {
        signal.removeEventListener('abort', cancel);
        settle();
      };
      stream.on('data', onIncoming);
      stream.on('end', () => done(resolve));
      stream.on('error', (error) => done(() => reject(fromServiceError(error, peerName(this.address)))));
      if (signal.aborted) cancel();
      else signal.addEventListener('abort', cancel, { once: true });
    });
  }

  close(): void {
    this.#client.close();
  }

  #settings(signal?: AbortSignal, timeoutMs = 10_000) {
    return { peer: peerName(this.address), timeoutMs, ...(signal ? { signal } : {}) };
  }
}

function peerName(address: string): string {
  return `destination-agent ${address}`;
}
