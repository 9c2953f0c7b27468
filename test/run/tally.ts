import type { StepResult } from './step.js';

/** Adds up the steps. */
export class Tally {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  add({ passed, failed, skipped }: StepResult): void {
    this.#passed += passed;
    this.#failed += failed;
    this.#skipped += skipped;
  }

  /** A run in which nothing ran has not passed. */
  get succeeded(): boolean {
    return this.#failed === 0 && this.#passed > 0;
  }

  /** The line that ends a run. */
  toString(): string {
    return `${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`;
  }
}
