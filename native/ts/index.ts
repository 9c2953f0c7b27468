import { loadAddon } from './load.js';
import type { NativeAddon } from './native.js';

export { NativeError } from './errors.js';
export { UFFD_FEATURE } from './features.js';
export * from './native.js';
export { toPlaceOutcome, type PlaceOutcome } from './place-outcome.js';
export { preloadLibraryPath } from './preload.js';

/** The addon of this thread. */
export const native: NativeAddon = loadAddon();
