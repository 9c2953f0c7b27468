import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root, found from the sources and from `dist` alike. */
export const repositoryRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

/** Files of the test guest, made by `npm run setup`. */
export const guestImage = {
  kernel: join(repositoryRoot, '.cache/guest/vmlinuz'),
  initrd: join(repositoryRoot, '.cache/guest/initrd.cpio'),
} as const;

/** Runs a command on a host that lacks something. */
export const restrictPath = join(repositoryRoot, 'native/build/test/restrict');

export type ServiceName = 'source-agent' | 'destination-agent' | 'page-server';

/** The program of a service or of umemctl. */
export function programPath(name: ServiceName | 'cli'): string {
  const path = join(repositoryRoot, 'packages', name, 'dist/main.js');
  if (!existsSync(path)) throw new Error(`${path} is not built; run: npm run build`);
  return path;
}

function findRoot(folder: string): string {
  const manifest = join(folder, 'package.json');
  if (existsSync(manifest)) {
    const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown };
    if (name === 'umem') return folder;
  }
  const parent = dirname(folder);
  if (parent === folder) throw new Error('The test kit lies outside the umem repository.');
  return findRoot(parent);
}
