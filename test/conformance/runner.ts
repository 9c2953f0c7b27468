import { NotApplicable, type Rule } from './rule.js';

export type Verdict = 'ok' | 'FAIL' | 'n/a';

export interface RuleResult {
  readonly rule: string;
  readonly title: string;
  readonly from: string;
  readonly result: Verdict;
  readonly detail: string;
  readonly milliseconds: number;
}

/** More than the longest wait of a rule, which says what it waited for. */
const TIMEOUT_MS = 150_000;

/** What rules are tried with. */
export interface RuleContext {
  /** Holds what every rule holds and lets go of what the last one has used. */
  endRule(): Promise<void>;
}

/** Tries one rule; never rejects. */
export async function tryRule<Context extends RuleContext>(
  rule: Rule<Context>,
  context: Context,
): Promise<RuleResult> {
  const startedMs = Date.now();
  const { result, detail } = await end(await verdictOf(rule, context), context);
  const { id, title, from } = rule;
  return { rule: id, title, from, result, detail, milliseconds: Date.now() - startedMs };
}

type Outcome = Pick<RuleResult, 'result' | 'detail'>;

async function verdictOf<Context>(rule: Rule<Context>, context: Context): Promise<Outcome> {
  const timeoutMs = rule.timeoutMs ?? TIMEOUT_MS;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Nothing more happened within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    const detail = await Promise.race([rule.run(context), late]);
    return { result: 'ok', detail: detail ?? '' };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    if (error instanceof NotApplicable) return { result: 'n/a', detail: `not applicable: ${detail}` };
    return { result: 'FAIL', detail };
  } finally {
    clearTimeout(timer);
  }
}

async function end(outcome: Outcome, context: RuleContext): Promise<Outcome> {
  try {
    await context.endRule();
    return outcome;
  } catch (error) {
    if (outcome.result === 'FAIL') return outcome;
    return { result: 'FAIL', detail: error instanceof Error ? error.message : String(error) };
  }
}
