import { fileURLToPath } from 'node:url';

/** Absolute path of the library that a VMM loads with LD_PRELOAD to hand over its RAM. */
export function preloadLibraryPath(): string {
  return fileURLToPath(new URL('../build/libumem-handoff.so', import.meta.url));
}
