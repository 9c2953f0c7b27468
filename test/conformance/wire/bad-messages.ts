/** Field 99, wire type 2, no bytes: what a later version of the protocol might send. */
export const FROM_THE_FUTURE = Buffer.of(0x9a, 0x06, 0x00);

/** A message without any field: the oneof is not set. */
export const UNSET = Buffer.alloc(0);

/** Bytes that are no protobuf message: a varint that never ends. */
export const GARBAGE = Buffer.alloc(32, 0xff);

/** Field 1, wire type 2, of 127 bytes of which one is there. */
export const TRUNCATED = Buffer.of(0x0a, 0x7f, 0x00);
