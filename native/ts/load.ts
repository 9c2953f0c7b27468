import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { NativeError } from './errors.js';
import type { AddonExports, NativeAddon } from './native.js';

const EXPORTS = [
  'setErrorClass',
  'createUserfaultfd',
  'adoptUserfaultfd',
  'probeUserfaultfd',
  'openRamReader',
  'dataExtents',
  'mapFile',
  'forgetMapped',
  'listenUnix',
  'pidfdOpen',
  'pidfdGetfd',
  'dupFd',
  'closeFd',
  'createMemfd',
  'punchHole',
] as const satisfies readonly (keyof AddonExports)[];

/** Loads the addon into this thread; every thread that imports this module loads its own instance. */
export function loadAddon(): NativeAddon {
  const path = fileURLToPath(new URL('../build/Release/umem_native.node', import.meta.url));
  const addon = requireAddon(path);
  addon.setErrorClass(NativeError);
  return addon;
}

function requireAddon(path: string): AddonExports {
  let addon: unknown;
  try {
    addon = createRequire(import.meta.url)(path);
  } catch (error) {
    throw new Error(`Cannot load the native addon ${path}: build it with "npm run build -w native"`, {
      cause: error,
    });
  }
  if (!isAddon(addon)) {
    throw new Error(
      `The native addon ${path} is older than this code: build it with "npm run build -w native"`,
    );
  }
  return addon;
}

function isAddon(value: unknown): value is AddonExports {
  if (typeof value !== 'object' || value === null) return false;
  const exports = new Map<string, unknown>(Object.entries(value));
  return EXPORTS.every((name) => typeof exports.get(name) === 'function');
}
