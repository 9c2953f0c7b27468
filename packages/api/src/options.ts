import type { ChannelOptions } from '@grpc/grpc-js';

/** Largest message either side sends or takes, in bytes. */
export const MAX_MESSAGE_BYTES = 8 << 20;

/** For calls that control: keepalive notices a silent peer within 13 s. */
export const CONTROL_CHANNEL: ChannelOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
};

/**
 * For the demand lane: its own connection (clients with equal options would share one) and a dead
 * peer noticed within 5 s; less than that takes a busy one for dead. Retries are the protocol's business, not the channel's.
 */
export const DEMAND_CHANNEL: ChannelOptions = {
  ...CONTROL_CHANNEL,
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 3_000,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc-node.flow_control_window': 1 << 20,
};

/**
 * For a background lane: as above with a window of 4 MiB, which on loopback is within noise of the
 * best and holds bandwidth times round trip up to 25 Gb/s at 1 ms. Only clients honour the window,
 * which is why pages flow from server to client.
 */
export const BACKGROUND_CHANNEL: ChannelOptions = {
  ...DEMAND_CHANNEL,
  'grpc-node.flow_control_window': 4 << 20,
};

/**
 * For servers. Channelz stays on, unlike in the channels above: without it grpc-js 1.14 does not know
 * its connections and `forceShutdown` leaves them, and every call on them, open.
 */
export const SERVER: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
};
