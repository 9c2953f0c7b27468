import type { Migration } from '@umem/api';
import type { CliIo } from '../io.js';
import { BarProgress } from './bar-progress.js';
import { LineProgress } from './line-progress.js';

/** Shows on stderr how a migration goes. */
export interface Progress {
  update(migration: Migration): void;
  /** A sentence for people; it stays on the screen. */
  note(text: string): void;
  /** Leaves the screen to a question until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends the display; nothing is shown after it. Idempotent. */
  stop(): void;
}

/** A bar on a terminal, lines elsewhere, and with `quiet` only notes. */
export function createProgress(io: CliIo, { quiet }: { quiet: boolean }): Progress {
  if (quiet) return new NotesOnly(io);
  return io.stderr.isTTY === true ? new BarProgress(io) : new LineProgress(io.stderr);
}

class NotesOnly implements Progress {
  constructor(private readonly io: CliIo) {}
  update(): void {}
  note(text: string): void {
    this.io.stderr.write(`${text}\n`);
  }
  pause(): void {}
  resume(): void {}
  stop(): void {}
}
