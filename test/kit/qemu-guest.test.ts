import { open } from 'node:fs/promises';
import { expect } from 'vitest';
import { test } from './lab-test.js';
import { QemuGuest } from './qemu-guest.js';
import type { Machine } from './machine.js';

const MIB = 2 ** 20;
const PAGE = 4096;
const MACHINE: Machine = {
  blocks: [{ id: 'ram0', sizeBytes: 192 * MIB }],
  // It must not write over what the test spoils.
  workload: { workingSetMiB: 16, writePercent: 0 },
};

/** Where page `index` of the working set lies: its first word is its index and version 1. */
async function findPage(ramPath: string, index: number): Promise<number> {
  const label = Buffer.alloc(8);
  label.writeBigUInt64LE((BigInt(index) << 32n) | 1n);
  const file = await open(ramPath);
  try {
    const chunk = Buffer.alloc(MIB);
    for (let offset = 0; ; offset += MIB) {
      const { bytesRead } = await file.read(chunk, 0, MIB, offset);
      if (bytesRead === 0) throw new Error(`Page ${index} of the working set is not in ${ramPath}`);
      for (let at = 0; at < bytesRead; at += PAGE) {
        if (chunk.compare(label, 0, 8, at, at + 8) === 0) return offset + at;
      }
    }
  } finally {
    await file.close();
  }
}

test('the guest notices a single byte that changed behind its back', async ({ lab }) => {
  const guest = await QemuGuest.boot(lab, 'vm1', MACHINE);
  const ramPath = guest.ramPaths.get('ram0') ?? '';
  expect((await guest.nextTick()).mismatches).toBe(0);

  const offset = (await findPage(ramPath, 1234)) + 2049;
  const file = await open(ramPath, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  await file.write(Buffer.of((byte[0] ?? 0) ^ 0x10), 0, 1, offset);
  await file.close();

  await guest.console.waitForTick(({ mismatches }) => mismatches > 0);
  expect(await guest.console.text()).toContain('MISMATCH memory page=1234 version=1 word=256');
});

test('a guest that is asked for something impossible says so and ends', async ({ lab }) => {
  const machine: Machine = { ...MACHINE, workload: { workingSetMiB: 0 } };
  await expect(QemuGuest.boot(lab, 'vm1', machine)).rejects.toThrow('must not be 0');
});
