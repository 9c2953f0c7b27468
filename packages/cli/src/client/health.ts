import {
  makeGenericClientConstructor,
  type CallOptions,
  type Client,
  type ClientUnaryCall,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';

/** `grpc.health.v1.HealthCheckResponse.ServingStatus`, by number. */
const STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;
export type ServingStatus = (typeof STATUS)[number];

/** The client of `grpc.health.v1.Health`. Its two messages have one field each, so no stubs are made. */
export interface HealthClient extends Client {
  check(
    request: Record<string, never>,
    metadata: Metadata,
    options: Partial<CallOptions>,
    callback: (error: ServiceError | null, response: ServingStatus) => void,
  ): ClientUnaryCall;
}

/** The one method that doctor needs. */
export const HealthDefinition = {
  check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    // The empty message asks for the server as a whole.
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: () => ({}),
    responseSerialize: (status: ServingStatus) => Buffer.from([0x08, STATUS.indexOf(status)]),
    // Field 1, varint; absent means 0.
    responseDeserialize: (bytes: Buffer): ServingStatus => STATUS[bytes[1] ?? 0] ?? 'UNKNOWN',
  },
} as const;

export const HealthClient = makeGenericClientConstructor(
  HealthDefinition,
  'grpc.health.v1.Health',
) as unknown as new (...args: ConstructorParameters<typeof Client>) => HealthClient;
