/** How a step ended, in tests; a lint or format check is one test. */
export interface StepResult {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What a person needs to see of it: why it failed, which tests were skipped. Empty when nothing. */
  readonly report: string;
}

/** One thing that `npm test` runs. */
export interface Step {
  readonly name: string;
  run(): Promise<StepResult>;
}
