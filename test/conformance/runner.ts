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

const TIMEOUT_MS = 30_000;

/** Tries one rule; never rejects. */
export async function tryRule<Context>(rule: Rule<Context>, context: Context): Promise<RuleResult> {
  const startedMs = Date.now();
  const { result, detail } = await verdictOf(rule, context);
  const { id, title, from } = rule;
  return { rule: id, title, from, result, detail, milliseconds: Date.now() - startedMs };
}

async function verdictOf<Context>(
  rule: Rule<Context>,
  context: Context,
): Promise<Pick<RuleResult, 'result' | 'detail'>> {
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
    return { result: error instanceof NotApplicable ? 'n/a' : 'FAIL', detail };
  } finally {
    clearTimeout(timer);
  }
}
