import { loadAddon } from './load.js';
import type { NativeAddon } from './native.js';

export { NativeError } from './errors.js';
export { UFFD_FEATURE } from './features.js';
export {
  findHugePageRisk,
  findHugePageRiskIn,
  findHugePageRiskOf,
  type HugePageFacts,
} from './huge-page-risk.js';
export { adoptDescriptor, findSocketProblem } from './inherited-socket.js';
export * from './native.js';
export { toPlaceOutcome, type PlaceOutcome } from './place-outcome.js';
export { preloadLibraryPath } from './preload.js';

/** The addon of this thread. */
export const native: NativeAddon = loadAddon();
