import type { VmmVersion } from './movability.js';
import type { QmpVersion } from './qmp-message.js';

/** How the test guest of this package names itself in its QMP greeting. */
const PROCESS_GUEST = 'umem process guest';

export function toVersion({ qemu, package: name }: QmpVersion): VmmVersion {
  return { major: qemu.major, minor: qemu.minor, isQemu: name !== PROCESS_GUEST };
}

/** For people: "QEMU 7.2.22". */
export function toVersionText(version: QmpVersion): string {
  const { major, minor, micro } = version.qemu;
  return `${toVersion(version).isQemu ? 'QEMU' : PROCESS_GUEST} ${major}.${minor}.${micro}`;
}
