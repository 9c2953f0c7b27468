// The generated messages, services and clients of `umem.v1`, without the helpers that every
// generated file repeats.
export {
  IncomingServiceClient,
  IncomingServiceService,
  IncomingState,
  type DeviceStateChunk,
  type Incoming,
  type IncomingRam,
  type IncomingServiceServer,
  type PreflightCheck,
  type PreflightRequest,
  type PreflightResponse,
  type PrepareIncomingRequest,
  type ConnectIncomingRequest,
  type ResumeIncomingRequest,
  type AbortIncomingRequest,
  type WatchIncomingRequest,
} from './gen/umem/v1/incoming.js';
export {
  MigrationServiceClient,
  MigrationServiceService,
  MigrationState,
  SourceAfter,
  type CreateMigrationRequest,
  type Downtime,
  type LaneToken,
  type ListMigrationsRequest,
  type ListMigrationsResponse,
  type Migration,
  type MigrationOptions,
  type MigrationServiceServer,
  type WatchMigrationRequest,
} from './gen/umem/v1/migration.js';
export {
  Init,
  LaneKind,
  PageBatch,
  PageEncoding,
  PageRun,
  PageSourceClient,
  PageSourceService,
  UmemReply,
  UmemRequest,
} from './gen/umem/v1/page_source.js';
export type {
  LatencyHistogram,
  PageBitmap as PageBitmapMessage,
  RamBlock as RamBlockMessage,
  ThreadBlockedTime,
  TransferStats,
} from './gen/umem/v1/ram.js';
export {
  UmemdClient,
  UmemdService,
  UmemState,
  type ConnectUmemRequest,
  type CreateUmemRequest,
  type LaneTarget,
  type Umem,
  type UmemdCommand,
  type UmemdServer,
  type VmmCommand,
  type WatchUmemRequest,
} from './gen/umem/v1/umemd.js';
export {
  VmRunState,
  VmServiceClient,
  VmServiceService,
  type RegisterVmRequest,
  type Vm,
  type VmServiceServer,
} from './gen/umem/v1/vm.js';
