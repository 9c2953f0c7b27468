import { readFile } from 'node:fs/promises';
import type { QmpClient } from './qmp-client.js';
import { QmpError } from './qmp-error.js';
import { hmpReply } from './qmp-replies.js';

/**
 * Inode of the file that a RAM block is mapped from: QEMU's human monitor says at which guest
 * address the block is and where that is in QEMU's memory; the kernel says what is mapped there.
 * Null when one of them does not say.
 */
export async function locateByAddress(qmp: QmpClient, blockId: string, pid: number): Promise<string | null> {
  try {
    const tree = await qmp.execute('human-monitor-command', hmpReply, { 'command-line': 'info mtree -f' });
    const guestAddress = findGuestAddress(tree, blockId);
    if (guestAddress === null) return null;
    const text = await qmp.execute('human-monitor-command', hmpReply, {
      'command-line': `gpa2hva 0x${guestAddress}`,
    });
    const [, owner, address] = /\((.+)\) is 0x([0-9a-f]+)/.exec(text) ?? [];
    if (owner === undefined || address === undefined || !isNameOf(owner, blockId)) return null;
    return findMappedInode(await readFile(`/proc/${pid}/maps`, 'utf8'), BigInt(`0x${address}`));
  } catch (error) {
    if (error instanceof QmpError) return null;
    throw error;
  }
}

/** First guest address, in hexadecimal, at which plain RAM of that name appears. */
function findGuestAddress(tree: string, blockId: string): string | null {
  for (const [, start, name] of tree.matchAll(/^\s*([0-9a-f]{16})-[0-9a-f]{16} \(prio -?\d+, ram\): (\S+)/gm))
    if (start !== undefined && name !== undefined && isNameOf(name, blockId)) return start;
  return null;
}

function isNameOf(regionName: string, blockId: string): boolean {
  return regionName === blockId || regionName === `/objects/${blockId}`;
}

function findMappedInode(maps: string, address: bigint): string | null {
  for (const [, start, end, inode] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+)/gm))
    if (start !== undefined && end !== undefined && inode !== undefined)
      if (BigInt(`0x${start}`) <= address && address < BigInt(`0x${end}`)) return inode;
  return null;
}
