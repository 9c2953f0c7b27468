/** One thing that was looked at. */
export interface Check {
  /** "this host", or the peer: "source-agent 10.0.0.1:7001". */
  readonly subject: string;
  /** Short stable id: "userfaultfd". */
  readonly check: string;
  /** `warn` does not stop a migration but deserves a look. */
  readonly result: 'pass' | 'warn' | 'fail';
  /** What was found, with the numbers. */
  readonly finding: string;
  /** What to do about it; empty when passed. */
  readonly fix: string;
}
