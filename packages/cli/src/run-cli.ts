import { messageOf, UmemError } from '@umem/errors';
import { CommanderError } from 'commander';
import { CommandFailure, EXIT, toExitCode } from './exit-codes.js';
import type { CliIo } from './io.js';
import { printJson } from './output/json.js';
import { createProgram } from './program.js';

/**
 * Runs one command line (without node and the script) and answers with its exit code. Never rejects:
 * what goes wrong is one sentence on stderr, and with `--json` a document on stdout.
 */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  const program = createProgram(io);
  let json = false;
  program.hook('preAction', (_program, action) => {
    json = action.opts<{ json?: boolean }>().json === true;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (json) printJson(io.stdout, toDocument(error));
    io.stderr.write(`umemctl: ${toOneLine(messageOf(error))}\n`);
    return toExitCode(error);
  }
}

function toDocument(error: unknown): object {
  if (error instanceof CommandFailure && error.document) return error.document;
  const reason = error instanceof UmemError ? error.reason : 'INTERNAL';
  return { error: { reason, message: messageOf(error) } };
}

function toOneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
