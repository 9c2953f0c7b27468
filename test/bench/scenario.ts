/** What one round of a scenario measured: a number per metric. */
export type Measurement = Readonly<Record<string, number>>;

/** One thing that is measured. Rounds of all scenarios are interleaved. */
export interface Scenario {
  readonly name: string;
  /** One sentence: what happens in a round. */
  readonly description: string;
  /** RAM of its guest. */
  readonly ramBytes: number;
  /** Rounds when nobody says how many. Default 5. */
  readonly rounds?: number;
  /** Name of the scenario that shows what this one's numbers would be otherwise. */
  readonly baseline?: string;
  /** Runs a round with everything new, and cleans up. */
  round(): Promise<Measurement>;
}
