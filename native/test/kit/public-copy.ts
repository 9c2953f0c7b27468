import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));
const PARTS = [
  'package.json',
  'dist',
  'build/Release/umem_native.node',
  'build/libumem-handoff.so',
  'build/test',
];

let copy: string | null = null;

afterAll(() => {
  if (copy !== null) rmSync(copy, { recursive: true, force: true });
  copy = null;
});

/**
 * Where a path of the built package lies in a copy that every user can read: the repository itself
 * may lie in a home directory. The copy is made once and goes with the test file.
 */
export function inPublicCopy(path: string): string {
  copy ??= makeCopy();
  return path.replace(packageRoot, copy);
}

function makeCopy(): string {
  const root = mkdtempSync(join(tmpdir(), 'umem-native-public-'));
  chmodSync(root, 0o755);
  for (const part of PARTS) cpSync(join(packageRoot, part), join(root, part), { recursive: true });
  return `${root}/`;
}
