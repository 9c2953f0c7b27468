import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Rule } from './rule.js';
import { tryRule, type RuleContext } from './runner.js';
import { startOwnSource } from './source/own-source.js';
import { sourceRules } from './source/rules.js';
import { SourceContext } from './source/source-context.js';
import type { SourceTarget } from './source/source-target.js';
import { umemdRules } from './umemd/rules.js';
import { UmemdContext } from './umemd/umemd-context.js';
import { startOwnUmemd, type UmemdTarget } from './umemd/umemd-target.js';

/** Rules and ends of rules have their own limits; this one is for a runner that hangs. */
const TIMEOUT_MS = 180_000;

/** One test for each rule: they share a service, and are tried in their order. */
function testRules<Context extends RuleContext>(
  rules: readonly Rule<Context>[],
  context: () => Context,
  logs: () => string,
): void {
  for (const rule of rules)
    test(`${rule.id}: ${rule.title}`, { timeout: TIMEOUT_MS }, async ({ skip, onTestFailed }) => {
      onTestFailed(() => console.error(logs()));
      const { result, detail } = await tryRule(rule, context());
      if (result === 'n/a') skip(detail);
      expect(result, detail).toBe('ok');
    });
}

describe('our source-agent keeps the protocol:', () => {
  let target: SourceTarget;
  let context: SourceContext;
  beforeAll(async () => {
    target = await startOwnSource();
    context = await SourceContext.open(target);
  });
  afterAll(async () => {
    await context.close();
    await target.close();
  });
  testRules(
    sourceRules,
    () => context,
    () => target.logs(),
  );
});

describe('our page server keeps the protocol:', () => {
  let target: UmemdTarget;
  let context: UmemdContext;
  beforeAll(async () => {
    target = await startOwnUmemd();
    context = await UmemdContext.open(target);
  });
  afterAll(async () => {
    await context.close();
    await target.close();
  });
  testRules(
    umemdRules,
    () => context,
    () => target.logs(),
  );
});
