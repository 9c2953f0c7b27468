import type { Worker } from 'node:worker_threads';
import { LaneKind } from '@umem/api';
import { silentLogger } from '@umem/daemon';
import { NotFound } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GuestRam } from '../../testing/guest-ram.js';
import { SessionLab } from '../../testing/session-lab.js';
import { BackgroundWorkers } from './background-workers.js';

/** Threads that this process has started during a test. */
let threads: Worker[] = [];
const collect = (worker: Worker): void => void threads.push(worker);
beforeEach(() => {
  threads = [];
  process.on('worker', collect);
});
afterEach(() => void process.off('worker', collect));

describe('with a migration open,', () => {
  let lab: SessionLab;
  afterEach(() => lab.stop());

  test('each worker has its own address', async () => {
    lab = await SessionLab.start({ workers: 3 });
    expect(new Set([lab.address, lab.worker(0), lab.worker(1), lab.worker(2)]).size).toBe(4);
  });

  test('a worker that dies loses its lanes and is started anew on its address, knowing what is open', async () => {
    lab = await SessionLab.start({ ram: new GuestRam({ ram0: 500 }) });
    lab.session.freeze();
    lab.session.push();
    const address = lab.worker();
    const demand = await lab.open(LaneKind.DEMAND);
    const lane = await lab.open(LaneKind.BACKGROUND, { address });
    await threads[0]?.terminate();
    expect((await lane.ended).code).not.toBe(0);
    await expect.poll(() => lab.laneCounts.at(-1)).toBe(1);
    await expect.poll(() => threads.length).toBe(2);
    const connectAnew = async (): Promise<number> => {
      const anew = lab.dial(address);
      anew.init(lab.migrationId, LaneKind.BACKGROUND, lab.ram.blocks, { generation: 2n });
      if (!(await anew.accepted)) return 0;
      await anew.eos;
      return anew.pages.size;
    };
    await expect.poll(connectAnew, { timeout: 10_000, interval: 200 }).toBe(500);
    expect(lab.worker()).toBe(address);
    // The lane on the main thread was of the connection before.
    expect((await demand.ended).details).toContain('generation 2');
  });
});

test('threads that are stopped while lanes are busy end by themselves', async () => {
  const lab = await SessionLab.start({ ram: new GuestRam({ ram0: 20_000 }, () => 'text'), workers: 2 });
  const codes = threads.map((thread) => new Promise<number>((resolve) => thread.once('exit', resolve)));
  lab.session.freeze();
  lab.session.push();
  const lanes = [
    await lab.open(LaneKind.BACKGROUND, { address: lab.worker(0) }),
    await lab.open(LaneKind.BACKGROUND, { address: lab.worker(1) }),
  ];
  await Promise.all(lanes.map((lane) => lane.until(() => lane.pages.size > 0)));
  await lab.stop();
  // A thread that is terminated ends with code 1.
  expect(await Promise.all(codes)).toEqual([0, 0]);
});

test('workers that cannot listen are an error, and none is left', async () => {
  const gate = { admit: () => Promise.reject(new NotFound('nobody')) };
  const listen = { kind: 'tcp', host: '192.0.2.1', port: 1 } as const;
  await expect(BackgroundWorkers.start({ count: 2, listen, gate, log: silentLogger })).rejects.toThrow(
    /192\.0\.2\.1/,
  );
  await expect.poll(() => threads.every(({ threadId }) => threadId === -1)).toBe(true);
});
