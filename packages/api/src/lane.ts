import {
  makeGenericClientConstructor,
  type ClientDuplexStream,
  type Client,
  type ClientOptions,
  type ChannelCredentials,
  type handleBidiStreamingCall,
  type Metadata,
} from '@grpc/grpc-js';
import { messageOf } from '@umem/errors';
import { PageSourceService, UmemReply, UmemRequest } from './gen/umem/v1/page_source.js';
import { encodePageBatch, type OutgoingBatch } from './page-batch-codec.js';

/** Metadata key of a lane's token. */
export const TOKEN_KEY = 'umem-token';

/** Bytes that are not the protobuf message they should be; a value, so that the lane can say so. */
export interface Malformed {
  readonly malformed: string;
}

/** What the source writes on a lane: batches that are serialized in place, and EOS. */
export type OutgoingReply = OutgoingBatch | { readonly eos: true };

/** A reply with the length of its message, for the count of bytes on the wire. */
export type IncomingReply = (UmemReply | Malformed) & { readonly messageBytes: number };

/** Largest request in bytes, but for INIT: 4063 ranges of one block fit. */
export const MAX_REQUEST_BYTES = 64 << 10;

/** First byte of an UmemRequest that is an INIT: field 1, length-delimited. */
const INIT_TAG = 0x0a;

const EOS_BYTES = Buffer.from(UmemReply.encode({ reply: { $case: 'eos', value: {} } }).finish());

/**
 * `PageSource` as the source serves it: the wire is the generated one, only the bulk method's
 * serializer is written by hand, and a message that is not protobuf arrives as a value.
 */
export const LaneServerService = {
  serve: {
    ...PageSourceService.serve,
    // Several requests wait decoded while nobody reads the lane; a long one would take ten times its length.
    requestDeserialize: (bytes: Buffer): UmemRequest | Malformed =>
      bytes.length > MAX_REQUEST_BYTES && bytes[0] !== INIT_TAG
        ? { malformed: `it has ${bytes.length} bytes, and all but INIT have at most ${MAX_REQUEST_BYTES}` }
        : orMalformed(() => UmemRequest.decode(bytes)),
    responseSerialize: (reply: OutgoingReply): Buffer =>
      'eos' in reply ? EOS_BYTES : encodePageBatch(reply),
  },
} as const;

/** The handler of `LaneServerService.serve`. */
export interface LaneServer {
  serve: handleBidiStreamingCall<UmemRequest | Malformed, OutgoingReply>;
  [name: string]: handleBidiStreamingCall<UmemRequest | Malformed, OutgoingReply>;
}

/** A lane as the page server holds it. */
export type LaneStream = ClientDuplexStream<UmemRequest, IncomingReply>;

/** The client of `PageSource` as the page server uses it. */
export interface LaneClient extends Client {
  serve(metadata: Metadata): LaneStream;
}

const LaneClientService = {
  serve: {
    ...PageSourceService.serve,
    responseDeserialize: (bytes: Buffer): IncomingReply =>
      Object.assign(
        orMalformed(() => UmemReply.decode(bytes)),
        { messageBytes: bytes.length },
      ),
  },
} as const;

/** Constructor of `LaneClient`. */
export const LaneClient = makeGenericClientConstructor(
  LaneClientService,
  'umem.v1.PageSource',
) as unknown as new (
  address: string,
  credentials: ChannelCredentials,
  options: Partial<ClientOptions>,
) => LaneClient;

function orMalformed<T extends object>(decode: () => T): T | Malformed {
  try {
    return decode();
  } catch (error) {
    return { malformed: messageOf(error) };
  }
}
