import type { Migration } from '@umem/api';
import { SingleBar } from 'cli-progress';
import type { CliIo } from '../io.js';
import type { Progress } from './progress.js';
import { formatBarLine, hasPages, toArrivedBytes, toFraction } from './progress-text.js';
import { RateMeter } from './rate-meter.js';

/** The bar's own scale: cli-progress redraws when the value or the line changes. */
const SCALE = 10_000;
const CELLS = { unicode: { done: '█', todo: '░' }, ascii: { done: '#', todo: '-' } };

/** For terminals: one line that is drawn again up to ten times a second. */
export class BarProgress implements Progress {
  readonly #rate = new RateMeter();
  #bar: SingleBar | null = null;
  #latest: Migration | null = null;
  #quiet = false;

  constructor(private readonly io: CliIo) {}

  update(migration: Migration): void {
    this.#latest = migration;
    if (hasPages(migration)) this.#rate.add(performance.now(), toArrivedBytes(migration));
    this.#draw();
  }

  note(text: string): void {
    this.#clear();
    this.io.stderr.write(`${text}\n`);
    this.#draw();
  }

  pause(): void {
    this.#quiet = true;
    this.#clear();
  }

  resume(): void {
    this.#quiet = false;
    this.#draw();
  }

  stop(): void {
    this.pause();
  }

  #draw(): void {
    if (this.#quiet || !this.#latest) return;
    const value = Math.floor(toFraction(this.#latest) * SCALE);
    if (this.#bar) {
      this.#bar.update(value);
      return;
    }
    this.#bar = new SingleBar({
      format: () => this.#line(),
      stream: this.io.stderr,
      clearOnComplete: true,
      hideCursor: true,
      forceRedraw: true,
      // Ctrl-C is a question here, see migrate/interrupt.ts.
      gracefulExit: false,
    });
    this.#bar.start(SCALE, value);
  }

  /** Ends the drawing; cli-progress shows the cursor again and wipes its line. */
  #clear(): void {
    this.#bar?.stop();
    this.#bar = null;
  }

  #line(): string {
    if (!this.#latest) return '';
    const { LC_ALL, LC_CTYPE, LANG } = this.io.env;
    const unicode = /utf-?8/i.test(LC_ALL ?? LC_CTYPE ?? LANG ?? 'UTF-8');
    const columns = this.io.stderr.columns || 80;
    const cells = unicode ? CELLS.unicode : CELLS.ascii;
    return formatBarLine(this.#latest, this.#rate.perSecond, columns, cells);
  }
}
