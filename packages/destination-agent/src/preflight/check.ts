import type { PreflightCheck } from '@umem/api';
import { HostPrecondition } from '@umem/errors';

/** A check that found nothing to object to. `finding` still says what was found. */
export function passed(check: string, finding: string): PreflightCheck {
  return { check, passed: true, finding, fix: '' };
}

/** A check for which a migration is refused. */
export function failed(check: string, finding: string, fix: string): PreflightCheck {
  return { check, passed: false, finding, fix };
}

/** Throws HostPrecondition with every failed check and its fix, if there is one. */
export function requirePassed(name: string, checks: readonly PreflightCheck[]): void {
  const problems = checks.filter((check) => !check.passed);
  if (problems.length === 0) return;
  const lines = problems.map(({ check, finding, fix }) => `${finding}. ${fix} [${check}]`);
  throw new HostPrecondition(`This host cannot take "${name}": ${lines.join('; ')}`, {
    metadata: { checks: problems.map(({ check }) => check).join(',') },
  });
}
