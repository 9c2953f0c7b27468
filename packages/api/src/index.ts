export {
  formatAddress,
  isLocal,
  isWildcard,
  parseAddress,
  parseLaneAddress,
  type Address,
  type LaneAddress,
} from './address.js';
export { fromBlockMessages, toBlockMessages } from './blocks.js';
export { call, type CallSettings } from './call.js';
export { loadDescriptors } from './descriptors.js';
export { streaming, unary } from './handlers.js';
export {
  LaneClient,
  LaneServerService,
  TOKEN_KEY,
  type IncomingReply,
  type LaneServer,
  type LaneStream,
  type Malformed,
  type OutgoingReply,
} from './lane.js';
export { BACKGROUND_CHANNEL, CONTROL_CHANNEL, DEMAND_CHANNEL, MAX_MESSAGE_BYTES, SERVER } from './options.js';
export {
  allocateBatchBuffer,
  encodePageBatch,
  HEADER_ROOM,
  type BatchRun,
  type OutgoingBatch,
} from './page-batch-codec.js';
export { toPageListRequests, toPlacedRequests, toRemoveRequests } from './page-list.js';
export { connectOver, openSocket, serveOver, type SocketTarget } from './socket-connection.js';
export { fromServiceError, isServiceError, toServiceError } from './status.js';
export * from './v1.js';
