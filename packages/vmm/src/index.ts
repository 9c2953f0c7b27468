export { connectQemu, type ConnectQemuOptions } from './qemu/connect-qemu.js';
export { findCopyProblem } from './qemu/movability.js';
export { QmpError } from './qemu/qmp-error.js';
export {
  processGuestPath,
  toProcessGuestArguments,
  type AccessMode,
  type ProcessGuestBlock,
  type ProcessGuestOptions,
  type ProcessWorkload,
} from './process/arguments.js';
export {
  startProcessGuest,
  type ExitStatus,
  type ProcessGuest,
  type VerifyReport,
} from './process/process-guest.js';
export { parseTick, type GuestTick } from './process/ticks.js';
export type {
  DiscoveredBlock,
  RamAccess,
  RamBacking,
  StopResult,
  VmDescription,
  Vmm,
  VmmRunState,
} from './vmm.js';
