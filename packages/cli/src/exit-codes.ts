import {
  AlreadyExists,
  Cancelled,
  DeadlineExceeded,
  HostPrecondition,
  InvalidArgument,
  NotFound,
  Overloaded,
  PageLoss,
  PeerUnavailable,
  PermissionDenied,
  StaleSession,
  Unauthenticated,
  Unimplemented,
  WrongState,
} from '@umem/errors';

/** What umemctl exits with; people script against these. */
export const EXIT = {
  ok: 0,
  /** The command line or a value in it is wrong. */
  usage: 2,
  /** The world is not as the command needs it; an operator changes that. No guest was harmed. */
  precondition: 3,
  /** A peer cannot be reached, or is too busy: try again later. */
  unavailable: 4,
  /** A guest lost memory and was stopped. */
  guestLost: 5,
  /** A bug here or in a peer. */
  internal: 70,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command that ends badly in a way of its own; `document` is what `--json` prints for it. */
export class CommandFailure extends Error {
  constructor(
    message: string,
    readonly exitCode: ExitCode,
    readonly document?: object,
  ) {
    super(message);
    this.name = 'CommandFailure';
  }
}

const CLASSES: readonly [ExitCode, readonly (new (...args: never[]) => Error)[]][] = [
  [EXIT.usage, [InvalidArgument]],
  [
    EXIT.precondition,
    [
      NotFound,
      AlreadyExists,
      Unauthenticated,
      PermissionDenied,
      WrongState,
      HostPrecondition,
      Unimplemented,
      Cancelled,
    ],
  ],
  [EXIT.unavailable, [PeerUnavailable, DeadlineExceeded, Overloaded, StaleSession]],
  [EXIT.guestLost, [PageLoss]],
];

/** The exit code for whatever a command threw. */
export function toExitCode(error: unknown): ExitCode {
  if (error instanceof CommandFailure) return error.exitCode;
  const found = CLASSES.find(([, classes]) => classes.some((Class) => error instanceof Class));
  return found ? found[0] : EXIT.internal;
}
