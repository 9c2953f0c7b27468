import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { PlacingGate } from './placing-gate.js';

/** What a worker thread does: enters and leaves, counting how many are inside, until it is told to stop. */
const WORKER = `
const { workerData } = require('node:worker_threads');
import(workerData.gate).then(({ PlacingGate }) => {
  const gate = new PlacingGate(workerData.buffer);
  const state = new Int32Array(workerData.state);
  while (Atomics.load(state, 1) === 0) {
    gate.enter();
    Atomics.add(state, 0, 1);
    for (let i = 0; i < 200; i++);
    Atomics.add(state, 2, 1);
    Atomics.sub(state, 0, 1);
    gate.leave();
  }
});`;

test('nobody places while events are read, and everybody does again afterwards', async () => {
  const gate = new PlacingGate();
  const state = new Int32Array(new SharedArrayBuffer(12));
  const entry = new URL('../../dist/place/placing-gate.js', import.meta.url).href;
  const workerData = { gate: entry, buffer: gate.buffer, state: state.buffer };
  const workers = [0, 1].map(() => new Worker(WORKER, { eval: true, workerData }));
  while (Atomics.load(state, 2) === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let round = 0; round < 2000; round++) {
    gate.close();
    gate.close();
    expect(Atomics.load(state, 0)).toBe(0);
    gate.open();
    expect(Atomics.load(state, 0)).toBe(0);
    gate.open();
    if (round % 100 === 0) {
      const before = Atomics.load(state, 2);
      while (Atomics.load(state, 2) === before) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  Atomics.store(state, 1, 1);
  await Promise.all(workers.map((worker) => once(worker, 'exit')));
});
