import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child } from './child.js';
import { eventuallyTrue } from './eventually.js';
import type { Lab } from './lab.js';

/** A disk that a process of its own serves: QEMU's storage daemon, which maps guest RAM. */
export interface VhostUserDisk {
  readonly process: Child;
  /** What QEMU needs to have it; its id is `disk0`. */
  readonly qemuArgs: readonly string[];
}

export interface VhostUserDiskOptions {
  /** Shown in front of its log, and the name of its socket. */
  readonly name: string;
  /** A raw image, which the disks of both hosts may have open. */
  readonly image: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Resolves when QEMU can connect to it; one of the same name may have been there before. */
export async function startVhostUserDisk(
  lab: Lab,
  { name, image, env = {} }: VhostUserDiskOptions,
): Promise<VhostUserDisk> {
  const socket = join(lab.dir, `${name}.sock`);
  await rm(socket, { force: true });
  const process = await lab.start({
    name,
    command: 'qemu-storage-daemon',
    args: [
      ...['--blockdev', `driver=file,node-name=image,filename=${image},locking=off`],
      '--export',
      `type=vhost-user-blk,id=disk,node-name=image,addr.type=unix,addr.path=${socket},writable=on`,
    ],
    env,
  });
  await eventuallyTrue(`${name} to listen`, async () => {
    if (!process.running) throw new Error(`${name} ended at its start:\n${process.log}`);
    return stat(socket).then(
      () => true,
      () => false,
    );
  });
  return {
    process,
    qemuArgs: [
      ...['-chardev', `socket,id=disk0-chardev,path=${socket},reconnect=1`],
      ...['-device', 'vhost-user-blk-pci,id=disk0,chardev=disk0-chardev'],
    ],
  };
}
