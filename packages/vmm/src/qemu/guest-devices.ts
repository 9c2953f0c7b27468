import type { GuestDevice } from './movability.js';
import type { QmpClient } from './qmp-client.js';
import { QmpError } from './qmp-error.js';
import { hmpReply, qomListReply } from './qmp-replies.js';

/** Devices that were added with -device or device_add. */
export async function readDevices(qmp: QmpClient): Promise<GuestDevice[]> {
  const devices: GuestDevice[] = [];
  for (const path of ['/machine/peripheral', '/machine/peripheral-anon'])
    devices.push(...toDevices(await qmp.execute('qom-list', qomListReply, { path })));
  return devices;
}

/** Children in a reply of `qom-list`: their type is written `child<vfio-pci>`. */
export function toDevices(properties: readonly { name: string; type: string }[]): GuestDevice[] {
  const devices: GuestDevice[] = [];
  for (const { name, type } of properties) {
    const child = /^child<(.+)>$/.exec(type)?.[1];
    if (child !== undefined) devices.push({ name, type: child });
  }
  return devices;
}

/** Output of the human monitor's "info network"; empty when the VMM has no human monitor. */
export async function readNetworks(qmp: QmpClient): Promise<string> {
  try {
    return await qmp.execute('human-monitor-command', hmpReply, { 'command-line': 'info network' });
  } catch (error) {
    if (error instanceof QmpError && error.isCommandNotFound) return '';
    throw error;
  }
}
