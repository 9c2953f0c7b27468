import type { Vmm } from '../vmm.js';
import { QmpClient, type QmpClientOptions } from './qmp-client.js';
import { QemuVmm } from './qemu-vmm.js';

export type ConnectQemuOptions = QmpClientOptions;

/**
 * Connects to a VMM's QMP socket; waits for the socket to appear. Rejects with PeerUnavailable
 * (nobody listens or greets), HostPrecondition (not QMP, or no permission), Cancelled or
 * InvalidArgument (no path for a Unix socket).
 */
export async function connectQemu(qmpPath: string, options: ConnectQemuOptions = {}): Promise<Vmm> {
  return new QemuVmm(await QmpClient.connect(qmpPath, options), qmpPath);
}
