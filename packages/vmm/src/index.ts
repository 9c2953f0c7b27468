export { connectQemu, type ConnectQemuOptions } from './qemu/connect-qemu.js';
export { QmpError } from './qemu/qmp-error.js';
export {
  processGuestPath,
  toProcessGuestArguments,
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
export type { DiscoveredBlock, RamBacking, StopResult, VmDescription, Vmm, VmmRunState } from './vmm.js';
