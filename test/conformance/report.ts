import type { RuleResult, Verdict } from './runner.js';

const VERDICTS: readonly Verdict[] = ['ok', 'FAIL', 'n/a'];

/** A line of the table, written when its rule has been tried. */
export function toLine({ rule, title, from, result, detail }: RuleResult): string {
  const told = result === 'ok' && detail === '' ? '' : `\n        ${detail}`;
  const origin = result === 'FAIL' ? `\n        rule: ${title}\n        from: ${from}` : '';
  return `${result.padEnd(4)}  ${rule.padEnd(46)}  ${shorten(title, 90)}${told}${origin}\n`;
}

export function toSummary(results: readonly RuleResult[]): string {
  const counts = VERDICTS.map(
    (verdict) => `${results.filter(({ result }) => result === verdict).length} ${verdict}`,
  );
  return `${results.length} rules: ${counts.join(', ')}`;
}

/** The whole outcome as one object; its shape is stable, `version` says which it is. */
export function toJson(results: readonly RuleResult[]): string {
  const failed = results.filter(({ result }) => result === 'FAIL').length;
  return JSON.stringify({ version: 1, passed: failed === 0, failed, results }, null, 2);
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
