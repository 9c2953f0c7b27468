/** One rule of the protocol and how it is tried. */
export interface Rule<Context> {
  /** Words with hyphens, joined by slashes: "source/init/no-token". */
  readonly id: string;
  /** What holds, in one sentence. */
  readonly title: string;
  /** Where it is written. */
  readonly from: string;
  /** The guest cannot go back to where it came from. */
  readonly destructive?: boolean;
  /** Milliseconds; default 150000. */
  readonly timeoutMs?: number;
  /** Throws when the rule does not hold; may answer with a detail for the table. */
  run(context: Context): Promise<string | void>;
}

/** The rule says nothing about this peer: a block that it would need is not there, for example. */
export class NotApplicable extends Error {}

/** Throws unless it holds. */
export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

/** Throws unless both are the same number, string or boolean. */
export function checkSame<T extends number | string | boolean | null>(
  what: string,
  actual: T,
  expected: T,
): void {
  check(actual === expected, `${what}: ${String(actual)}, not ${String(expected)}`);
}

/** Throws unless both lists have the same members in the same order. */
export function checkSameList<T extends number | string>(
  what: string,
  actual: readonly T[],
  expected: readonly T[],
): void {
  const same = actual.length === expected.length && actual.every((value, index) => value === expected[index]);
  const show = (list: readonly T[]): string =>
    list.length > 12 ? `${list.slice(0, 12).join(' ')} … (${list.length})` : list.join(' ');
  check(same, `${what}: [${show(actual)}], not [${show(expected)}]`);
}
