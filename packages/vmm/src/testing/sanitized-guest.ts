import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BUILD = fileURLToPath(new URL('../../process/build.mjs', import.meta.url));

/** Builds the process guest with a sanitizer that ends it on its first finding. */
export async function buildSanitizedGuest(output: string, sanitizers: string): Promise<void> {
  await promisify(execFile)(process.execPath, [
    BUILD,
    output,
    `-fsanitize=${sanitizers}`,
    '-fno-sanitize-recover=all',
    '-fno-omit-frame-pointer',
  ]);
}
