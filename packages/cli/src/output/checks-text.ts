import type { Check } from '../doctor/check.js';
import type { Paint } from './style.js';

const MARKS = { pass: ['green', 'ok  '], warn: ['yellow', 'warn'], fail: ['red', 'FAIL'] } as const;

/** One line per check, grouped by subject, with the fix at its end. */
export function formatChecks(checks: readonly Check[], paint: Paint): string {
  const width = Math.max(0, ...checks.map(({ check }) => check.length));
  let text = '';
  for (const subject of new Set(checks.map((check) => check.subject))) {
    text += `${paint('bold', subject)}\n`;
    for (const { check, result, finding, fix } of checks.filter((one) => one.subject === subject)) {
      const [colour, mark] = MARKS[result];
      const advice = fix === '' ? '' : `. Fix: ${fix}`;
      text += `  ${paint(colour, mark)}  ${check.padEnd(width)}  ${finding}${advice}\n`;
    }
  }
  return text;
}
