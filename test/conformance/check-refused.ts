import { status as Status } from '@grpc/grpc-js';
import { check } from './rule.js';

/** Throws unless the call is refused with one of these codes; answers the status' words. */
export async function checkRefused(
  what: string,
  call: Promise<unknown>,
  ...codes: readonly Status[]
): Promise<string> {
  const error: unknown = await call.then(
    () => null,
    (reason: unknown) => reason ?? new Error('rejected with nothing'),
  );
  const expected = codes.map((code) => Status[code]).join(' or ');
  check(error !== null, `${what} was accepted, not refused with ${expected}`);
  const { code, details } = error as { code?: Status; details?: string };
  const answered = code === undefined ? 'without a status' : Status[code];
  check(
    code !== undefined && codes.includes(code),
    `${what} was answered ${answered} "${details}", not ${expected}`,
  );
  return details ?? '';
}
