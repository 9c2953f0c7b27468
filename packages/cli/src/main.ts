#!/usr/bin/env node
import { runCli } from './run-cli.js';
import { EXIT } from './exit-codes.js';

const { stdout, stderr, stdin, env } = process;
// A reader that has seen enough (`| head -1`) ends umemctl, never the migration.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.internal);
});
process.exitCode = await runCli(process.argv.slice(2), { stdout, stderr, stdin, env });
