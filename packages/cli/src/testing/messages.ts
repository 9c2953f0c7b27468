import {
  IncomingState,
  MigrationState,
  Placement,
  SourceAfter,
  UmemState,
  VmRunState,
  type Incoming,
  type Migration,
  type TransferStats,
  type Umem,
  type Vm,
} from '@umem/api';

/** Messages as a healthy system sends them; tests change what they are about. */

export const block = { blockId: 'ram0', sizeBytes: 512n << 20n, hostPageSizeBytes: 4096n };

export function createVm(changes: Partial<Vm> = {}): Vm {
  return {
    name: 'web1',
    qmpPath: '/run/vm/web1.qmp',
    blocks: [block],
    runState: VmRunState.RUNNING,
    vmmPid: 4711,
    vmmVersion: 'QEMU 7.2.22',
    migrationId: '',
    vhostUserDevices: [],
    ...changes,
  };
}

export function createStats(changes: Partial<TransferStats> = {}): TransferStats {
  return {
    totalPages: 131_072n,
    demandPages: 231n,
    backgroundPages: 130_841n,
    fillPages: 65_000n,
    duplicatePages: 12n,
    removedPages: 0n,
    remainingPages: 0n,
    wireBytes: 270_000_000n,
    faults: 240n,
    faultLatency: {
      count: 231n,
      sumUs: 60_000n,
      p50Us: 210n,
      p99Us: 1_900n,
      maxUs: 4_200n,
      powerOfTwoBuckets: [],
    },
    blockedThreads: [],
    recoveries: 0n,
    pendingRequests: 0n,
    touchRequests: 0n,
    touchedPages: 0n,
    ...changes,
  };
}

export function createMigration(changes: Partial<Migration> = {}): Migration {
  return {
    migrationId: 'mig-1',
    vm: 'web1',
    destinationAddress: '127.0.0.1:7002',
    state: MigrationState.PREPARING,
    options: {
      noBackground: false,
      postcopyFlags: 0,
      maxBandwidthBytesPerSecond: 0n,
      releaseRam: false,
      sourceAfter: SourceAfter.KEEP,
      timeoutSeconds: 0,
      placement: Placement.COPY,
    },
    createdAtUnixUs: 1_700_000_000_000_000n,
    totalUs: 12_000n,
    downtime: undefined,
    stats: undefined,
    error: '',
    errorReason: '',
    guestRecoverable: false,
    activity: '',
    ...changes,
  };
}

/** A migration whose pages are on their way. */
export function createActive(changes: Partial<Migration> = {}): Migration {
  return createMigration({
    state: MigrationState.POSTCOPY_ACTIVE,
    downtime: {
      totalUs: 41_237n,
      stopUs: 1_100n,
      deviceStateUs: 36_037n,
      resumeUs: 4_100n,
      deviceStateBytes: 626_688n,
    },
    stats: createStats({ backgroundPages: 65_305n, remainingPages: 65_536n, wireBytes: 130_000_000n }),
    totalUs: 600_000n,
    estimatedRemainingUs: 700_000n,
    ...changes,
  });
}

export function createCompleted(changes: Partial<Migration> = {}): Migration {
  const { estimatedRemainingUs: _, ...active } = createActive();
  return {
    ...active,
    state: MigrationState.COMPLETED,
    stats: createStats(),
    totalUs: 1_420_000n,
    ...changes,
  };
}

export function createIncoming(changes: Partial<Incoming> = {}): Incoming {
  return {
    name: 'web1',
    state: IncomingState.PREPARED,
    ram: [{ block, path: '/dev/shm/umem/web1/ram0' }],
    env: { LD_PRELOAD: '/usr/lib/umem/libumem-handoff.so', UMEM_RAM: 'ram0=/dev/shm/umem/web1/ram0' },
    qmpPath: '/run/umem/web1.qmp',
    migrationId: '',
    vmmPid: 0,
    stats: undefined,
    error: '',
    guestRecoverable: false,
    umemState: UmemState.AWAITING_HANDOFF,
    resumedAtUnixUs: 0n,
    pageServerLost: false,
    placement: Placement.COPY,
    ...changes,
  };
}

export function createUmem(changes: Partial<Umem> = {}): Umem {
  return {
    name: 'web1',
    state: UmemState.ARMED,
    blocks: [block],
    handoffSocketPath: '/run/umem/web1/handoff.sock',
    lanesConnected: true,
    stats: createStats({ remainingPages: 1_000n }),
    error: '',
    migrationId: 'mig-1',
    ...changes,
  };
}
