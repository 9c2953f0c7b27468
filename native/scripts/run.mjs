import { spawnSync } from 'node:child_process';

/** Runs a program in the foreground; ends this one with its exit code when it fails. */
export function run(program, args, cwd, env = process.env) {
  const result = spawnSync(program, args, { cwd, env, stdio: 'inherit' });
  if (result.error) {
    console.error(`Cannot run ${program}: ${result.error.message}`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}
