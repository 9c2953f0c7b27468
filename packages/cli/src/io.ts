/** A stream that the command writes to; a terminal says so. */
export interface Output {
  write(text: string): boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Where Ctrl-C and SIGTERM come from: `process`, or a test. */
export interface Interrupts {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}

/** Everything a command touches outside itself, so that tests can run it in-process. */
export interface CliIo {
  /** Results. */
  readonly stdout: NodeJS.WritableStream & Output;
  /** Progress, notes and errors. */
  readonly stderr: NodeJS.WritableStream & Output;
  /** Answers to questions; asked only when it is a terminal. */
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: this process. */
  readonly interrupts?: Interrupts;
}

/** True when a person can be asked: both the question and the answer go through a terminal. */
export function isInteractive(io: CliIo): boolean {
  return io.stdin.isTTY === true && io.stderr.isTTY === true;
}
