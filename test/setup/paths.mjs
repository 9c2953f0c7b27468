import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Everything the set-up makes outside node_modules and dist; may be deleted at any time. */
export const CACHE = join(ROOT, '.cache');

/** The test guest: `vmlinuz`, `modules/`, `initrd.cpio`. */
export const GUEST = join(CACHE, 'guest');

/** Output of apt, npm and the build. */
export const LOG = join(CACHE, 'setup.log');
