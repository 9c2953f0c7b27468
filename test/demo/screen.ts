import type { Tick } from '../kit/ticks.js';
import { formatTick } from '../kit/ticks.js';

/** Where the demo tells its story: plain lines, indented below their step. */
export class Screen {
  readonly #output: NodeJS.WritableStream;
  #step = 0;

  constructor(output: NodeJS.WritableStream) {
    this.#output = output;
  }

  line(text = ''): void {
    this.#output.write(`${text}\n`);
  }

  /** A numbered step. */
  step(text: string): void {
    this.#step += 1;
    this.line(`\n${this.#step}. ${text}`);
  }

  detail(text: string): void {
    this.line(`   ${text}`);
  }

  /** A line that the guest wrote on its serial console. */
  tick(tick: Tick): void {
    this.detail(formatTick(tick));
  }

  /** Rows of equal columns; the last one is not padded. */
  table(rows: readonly (readonly string[])[]): void {
    const widths: number[] = [];
    for (const row of rows) {
      for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
    for (const row of rows) {
      const cells = row.map((cell, column) =>
        column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0),
      );
      this.line(`  ${cells.join('   ').trimEnd()}`);
    }
  }
}
