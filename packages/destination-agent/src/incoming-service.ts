import {
  fromBlockMessages,
  Placement,
  streaming,
  toServiceError,
  unary,
  type ConnectIncomingRequest,
  type DeviceStateChunk,
  type Incoming,
  type IncomingServiceServer,
  type PreflightCheck,
  type PreflightRequest,
  type PrepareIncomingRequest,
} from '@umem/api';
import type { ServerReadableStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type { Logger } from '@umem/daemon';
import { Cancelled, InvalidArgument } from '@umem/errors';
import { isName, NAME_RULE, type RamBlock } from '@umem/ram';
import type { AgentConfig } from './config.js';
import { events } from './events.js';
import { readConnectRequest } from './incoming/connect.js';
import { receiveDeviceState } from './incoming/device-state.js';
import { makeParts } from './incoming/incoming-parts.js';
import type { IncomingRegistry } from './incoming/incoming-registry.js';
import type { IncomingVm } from './incoming/incoming-vm.js';
import { loadProfile, type LaunchProfile } from './launch/launch-profile.js';
import type { PageServer } from './page-server/page-server.js';
import { failed, passed, requirePassed } from './preflight/check.js';
import { runPreflight } from './preflight/preflight.js';
import { checkOwner, checkProfile, ownerOf } from './preflight/profile-checks.js';
import type { Owner } from './ram/file-owner.js';
import { planRam } from './ram/ram-plan.js';

export interface IncomingServiceParts {
  readonly config: AgentConfig;
  readonly log: Logger;
  readonly pageServer: PageServer;
  readonly registry: IncomingRegistry;
  /** Whose VMMs are, unless their profile says otherwise. */
  readonly owner: Owner;
}

/** Most RAM blocks of one VM: what its environment can name. */
const MAX_BLOCKS = 256;

/** The only postcopy flag there is: touching requests. */
const FLAG_TOUCH = 1;

/** Bounds of WatchIncomingRequest.interval_ms, and what 0 means. */
const WATCH_INTERVAL_MS = { min: 50, max: 60_000, default: 200 };

/** The handlers of IncomingService. */
export function createIncomingService(parts: IncomingServiceParts): IncomingServiceServer {
  const { config, log, registry, owner: usual } = parts;

  async function preflight(request: PreflightRequest): Promise<PreflightCheck[]> {
    const { name, blocks } = readVm(request);
    const found = await checkProfile(config.vmProfiles, request.profile);
    const { profile } = found;
    const { owner, check } = await checkOwner(profile, usual);
    const { plan, promisedBytes } = await planFor(blocks, profile);
    const { vhostUserDevices } = request;
    const placement = readPlacement(request);
    const subject = { name, plan, profile, owner, placement, vhostUserDevices, promisedBytes };
    return [found.check, check, ...(await runPreflight(subject, parts)), checkRoom(name, blocks)];
  }

  /** How the VM's RAM would be backed now, beside what is promised to others. */
  async function planFor(blocks: readonly RamBlock[], profile: LaunchProfile | null) {
    const { ramDir, hugetlbfsDir, hugePages } = config;
    const { smallBytes: promisedBytes, hugeBytes: promisedHugeBytes } = await registry.promised();
    const rule = profile?.hugePages ?? hugePages;
    return { plan: await planRam(blocks, { ramDir, hugetlbfsDir, rule, promisedHugeBytes }), promisedBytes };
  }

  function checkRoom(name: string, blocks: readonly RamBlock[]): PreflightCheck {
    const obstacle = registry.findObstacle(name, sizeOf(blocks));
    const check = 'name-and-limits';
    if (obstacle) return failed(check, obstacle.message, 'See the finding');
    return passed(check, `"${name}" is free and within --max-incoming and --max-ram`);
  }

  async function prepare(request: PrepareIncomingRequest): Promise<Incoming> {
    const { name, blocks } = readVm(request);
    const profile = request.profile === '' ? null : await loadProfile(config.vmProfiles, request.profile);
    const placement = readPlacement(request);
    const postcopyFlags = readPostcopyFlags(request.postcopyFlags, placement);
    const incoming = {
      name,
      blocks,
      profile,
      placement,
      postcopyFlags,
      vhostUserDevices: request.vhostUserDevices,
      owner: await ownerOf(profile, usual),
    };
    const vm = await registry.prepare(incoming, async () => {
      const { plan, promisedBytes } = await planFor(blocks, profile);
      requirePassed(name, await runPreflight({ ...incoming, plan, promisedBytes }, parts));
      return makeParts(incoming, plan, parts);
    });
    log.event(events.incomingPrepared, { vm: name, ramBytes: vm.ramBytes, profile: request.profile });
    return vm.toMessage();
  }

  async function load(call: ServerReadableStream<DeviceStateChunk, Incoming>): Promise<Incoming> {
    const state = await receiveDeviceState(call);
    const vm = registry.get(state.name);
    await vm.load(state);
    return vm.toMessage();
  }

  return {
    preflight: unary(async (request) => ({ checks: await preflight(request) })),
    prepareIncoming: unary(prepare),
    connectIncoming: (call, callback) =>
      answer(callback, async () => {
        const vm = registry.get(call.request.name);
        await vm.connect(readConnectRequest(call.request), cancellation(call));
        return vm.toMessage();
      }),
    loadDeviceState: (call, callback) => answer(callback, () => load(call)),
    resumeIncoming: unary(async ({ name, migrationId }) => {
      const vm = registry.get(name);
      await vm.resume(migrationId);
      return vm.toMessage();
    }),
    abortIncoming: unary(async ({ name, migrationId, reason }) => {
      await registry.abort(name, migrationId, reason);
      return {};
    }),
    forgetIncoming: unary(async ({ name }) => {
      await registry.forget(name);
      log.event(events.incomingForgotten, { vm: name });
      return {};
    }),
    getIncoming: unary(({ name }) => registry.get(name).toMessage()),
    listIncomings: unary(() => ({ incomings: registry.list().map((vm) => vm.toMessage()) })),
    watchIncoming: streaming(({ name, intervalMs }, signal) =>
      watch(registry.get(name), readInterval(intervalMs), signal),
    ),
  };
}

async function* watch(vm: IncomingVm, intervalMs: number, signal: AbortSignal): AsyncGenerator<Incoming> {
  for await (const _ of vm.record.changes.subscribe(intervalMs, signal)) yield vm.toMessage();
}

/** Throws InvalidArgument. */
function readVm(request: Pick<PrepareIncomingRequest, 'name' | 'blocks'>): {
  name: string;
  blocks: RamBlock[];
} {
  const { name } = request;
  if (!isName(name))
    throw new InvalidArgument(`VM name ${JSON.stringify(name)} is not valid: use ${NAME_RULE}`);
  if (request.blocks.length > MAX_BLOCKS)
    throw new InvalidArgument(
      `VM "${name}" has ${request.blocks.length} RAM blocks: at most ${MAX_BLOCKS} can come in`,
    );
  return { name, blocks: fromBlockMessages(request.blocks) };
}

/** Throws InvalidArgument. */
function readPlacement({ placement }: { placement: Placement }): Placement {
  if (placement === Placement.CACHE) return Placement.CACHE;
  if (placement === Placement.COPY || placement === Placement.UNSPECIFIED) return Placement.COPY;
  throw new InvalidArgument(`placement is ${placement}: use COPY (1) or CACHE (2)`);
}

/** Throws InvalidArgument. */
function readPostcopyFlags(flags: number, placement: Placement): number {
  if ((flags & ~FLAG_TOUCH) !== 0)
    throw new InvalidArgument(`postcopy_flags is ${flags}: only bit 0 (touching requests) is known`);
  if (flags !== 0 && placement !== Placement.CACHE)
    throw new InvalidArgument(
      `postcopy_flags is ${flags}: touching requests go with placement CACHE (2) only, and it is ${Placement[placement]}`,
    );
  return flags;
}

function sizeOf(blocks: readonly RamBlock[]): number {
  return blocks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Throws InvalidArgument. */
function readInterval(intervalMs: number): number {
  const { min, max, default: usual } = WATCH_INTERVAL_MS;
  if (intervalMs === 0) return usual;
  if (intervalMs >= min && intervalMs <= max) return intervalMs;
  throw new InvalidArgument(`interval_ms is ${intervalMs}: it must be 0, or from ${min} to ${max}`);
}

/** Aborted with Cancelled when the caller gives up. */
function cancellation(call: ServerUnaryCall<ConnectIncomingRequest, Incoming>): AbortSignal {
  const gaveUp = new AbortController();
  call.on('cancelled', () => gaveUp.abort(new Cancelled('The source gave up connecting')));
  if (call.cancelled) gaveUp.abort(new Cancelled('The source gave up connecting'));
  return gaveUp.signal;
}

function answer<Response>(callback: sendUnaryData<Response>, handle: () => Promise<Response>): void {
  handle().then(
    (response) => callback(null, response),
    (error: unknown) => callback(toServiceError(error)),
  );
}
