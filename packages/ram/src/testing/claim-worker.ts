import { parentPort, workerData } from 'node:worker_threads';
import type { PageRange } from '../page.js';
import { PageBitmap } from '../page-bitmap.js';

/** What a claiming thread is given. */
export interface ClaimJob {
  readonly pageCount: number;
  readonly buffer: SharedArrayBuffer;
  /** Set to 1 when all threads are there. */
  readonly gate: Int32Array;
  readonly runPages: number;
}

// Claims runs as a background lane does, until nothing is missing, and tells which pages it won.
const { pageCount, buffer, gate, runPages } = workerData as ClaimJob;
const bitmap = new PageBitmap(pageCount, buffer);
const won: PageRange[] = [];
parentPort?.postMessage('ready');
Atomics.wait(gate, 0, 0);
for (
  let run = bitmap.nextMissing(0, pageCount, runPages);
  run;
  run = bitmap.nextMissing(0, pageCount, runPages)
)
  won.push(...bitmap.addRange(run));
parentPort?.postMessage(won);
