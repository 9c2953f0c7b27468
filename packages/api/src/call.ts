import { Metadata, type CallOptions, type ClientUnaryCall, type ServiceError } from '@grpc/grpc-js';
import { fromServiceError } from './status.js';

/** A unary method of a generated client. */
type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

export interface CallSettings {
  /** Who is called, for messages: "destination-agent 10.0.0.2:7002". */
  peer: string;
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED. Default 10000. */
  timeoutMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
}

/**
 * Makes one unary call: `await call(client, client.getVm, { name }, { peer })`. Rejects with one of
 * the classes of `@umem/errors`.
 */
export function call<Request, Response>(
  client: object,
  method: UnaryMethod<Request, Response>,
  request: Request,
  settings: CallSettings,
): Promise<Response> {
  const { peer, timeoutMs = 10_000, signal } = settings;
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + timeoutMs };
    const pending = method.call(client, request, new Metadata(), options, (error, response) => {
      signal?.removeEventListener('abort', cancel);
      if (error) reject(fromServiceError(error, peer));
      else resolve(response);
    });
    const cancel = (): void => pending.cancel();
    if (signal?.aborted) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
  });
}
