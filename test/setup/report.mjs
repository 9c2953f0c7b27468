/** Stops the set-up; the message says what to do. */
export class SetupError extends Error {}

/** One line for the person who waits. Never stdout: that belongs to the command that follows. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}
