/** What one round of a scenario measured: a number per metric. */
export type Measurement = Readonly<Record<string, number>>;

/** One thing that is measured. Rounds of all scenarios are interleaved. */
export interface Scenario {
  readonly name: string;
  /** One sentence: what happens in a round. */
  readonly description: string;
  /** Runs a round with everything new, and cleans up. */
  round(): Promise<Measurement>;
}
