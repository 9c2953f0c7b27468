import type { Migration, MigrationState } from '@umem/api';
import type { Output } from '../io.js';
import type { Progress } from './progress.js';
import { formatProgressLine, hasPages, toArrivedBytes } from './progress-text.js';
import { RateMeter } from './rate-meter.js';

const PAUSE_MS = 1_000;

/** For logs: a line for each state, and within a state at most one a second, when there is news. */
export class LineProgress implements Progress {
  readonly #rate = new RateMeter();
  #state: MigrationState | null = null;
  #line = '';
  #lineAtMs = -Infinity;
  #stopped = false;

  constructor(
    private readonly output: Output,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  update(migration: Migration): void {
    if (this.#stopped) return;
    const now = this.nowMs();
    if (hasPages(migration)) this.#rate.add(now, toArrivedBytes(migration));
    const line = formatProgressLine(migration, this.#rate.perSecond);
    const isNews = line !== this.#line && now - this.#lineAtMs >= PAUSE_MS;
    if (migration.state === this.#state && !isNews) return;
    this.#state = migration.state;
    this.#line = line;
    this.#lineAtMs = now;
    this.output.write(line);
  }

  note(text: string): void {
    this.output.write(`${text}\n`);
  }

  pause(): void {
    // Lines and questions do not disturb each other.
  }

  resume(): void {
    // Nothing was paused.
  }

  stop(): void {
    this.#stopped = true;
  }
}
