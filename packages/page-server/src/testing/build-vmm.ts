import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where tests find the compiled test VMM. */
export const VMM_VARIABLE = 'UMEM_TEST_VMM';

let directory = '';

/** Compiles the test VMM once for all test files: vitest's global set-up. */
export function setup(): void {
  directory = mkdtempSync(join(tmpdir(), 'umem-test-vmm-'));
  const path = join(directory, 'vmm');
  const source = fileURLToPath(new URL('./vmm.c', import.meta.url));
  execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-pthread', '-o', path, source], { stdio: 'inherit' });
  process.env[VMM_VARIABLE] = path;
}

export function teardown(): void {
  rmSync(directory, { recursive: true });
}
