export { EXIT, type ExitCode } from './exit-codes.js';
export type { CliIo, Interrupts, Output } from './io.js';
export { runCli } from './run-cli.js';
