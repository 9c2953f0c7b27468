import type { UmemRequest } from '@umem/api';
import { expect, test } from 'vitest';
import { DemandSender, type RequestLane } from './demand-sender.js';

/** A lane that takes `room` requests before it wants to be drained. */
class RecordingLane implements RequestLane {
  readonly sent: NonNullable<UmemRequest['command']>[] = [];
  drain: () => void = () => {};
  room = Infinity;

  write({ command }: UmemRequest): boolean {
    if (command) this.sent.push(command);
    return --this.room > 0;
  }

  onDrain(listener: () => void): void {
    this.drain = listener;
  }

  get pgoffs(): number[] {
    return this.sent.flatMap((command) => ('pgoffs' in command.value ? command.value.pgoffs : []));
  }
}

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

function createSender(maxPending?: number): {
  sender: DemandSender;
  crowded: boolean[];
  unwanted: Set<number>;
} {
  const crowded: boolean[] = [];
  const unwanted = new Set<number>();
  const sender = new DemandSender({
    isWanted: ({ pgoff }) => !unwanted.has(pgoff),
    crowded: (isCrowded) => crowded.push(isCrowded),
    ...(maxPending === undefined ? {} : { maxPending }),
  });
  return { sender, crowded, unwanted };
}

test('the faults of one turn go out together, a request for each change of block', () => {
  const { sender } = createSender();
  const lane = new RecordingLane();
  sender.attach(lane, []);
  for (const pgoff of [3, 1, 2]) sender.ask({ blockId: 'ram0', pgoff });
  sender.ask({ blockId: 'ram1', pgoff: 9 });
  sender.flush();
  expect(lane.sent).toEqual([
    { $case: 'onDemand', value: { blockId: 'ram0', pgoffs: [3, 1, 2] } },
    { $case: 'onDemand', value: { blockId: 'ram1', pgoffs: [9] } },
  ]);
});

test('more pages than fit one message go on in _CONT messages, with nothing in between', () => {
  const { sender } = createSender();
  const lane = new RecordingLane();
  lane.room = 1;
  sender.attach(lane, []);
  for (const pgoff of range(0, 10_000)) sender.ask({ blockId: 'ram0', pgoff });
  sender.tellRemoved('ram0', { pgoff: 20_000, pageCount: 1 });
  sender.flush();
  expect(lane.sent.map(({ $case }) => $case)).toEqual(['onDemand', 'onDemandCont', 'onDemandCont']);
  expect(lane.pgoffs).toEqual(range(0, 10_000));
  lane.drain();
  expect(lane.sent.at(-1)).toEqual({ $case: 'remove', value: { blockId: 'ram0', pgoffs: [20_000] } });
});

test('too many requests that wait stop the reading of faults until all are sent', () => {
  const { sender, crowded } = createSender(100);
  for (const pgoff of range(0, 101)) sender.ask({ blockId: 'ram0', pgoff });
  sender.flush();
  expect(crowded).toEqual([true]);
  expect(sender.pending).toBe(101);
  sender.attach(
    new RecordingLane(),
    range(0, 101).map((pgoff) => ({ blockId: 'ram0', pgoff })),
  );
  expect(crowded).toEqual([true, false]);
  expect(sender.pending).toBe(0);
});

test('a lane that is full is left alone until it drains, and a lane that is gone is forgotten', () => {
  const { sender } = createSender();
  const full = new RecordingLane();
  full.room = 1;
  sender.attach(full, []);
  sender.ask({ blockId: 'ram0', pgoff: 1 });
  sender.flush();
  sender.ask({ blockId: 'ram0', pgoff: 2 });
  sender.flush();
  expect(full.pgoffs).toEqual([1]);
  sender.detach();
  const next = new RecordingLane();
  sender.attach(next, [
    { blockId: 'ram0', pgoff: 1 },
    { blockId: 'ram0', pgoff: 2 },
  ]);
  full.drain();
  expect(full.pgoffs).toEqual([1]);
  expect(next.pgoffs).toEqual([1, 2]);
});

test('pages that arrived while they waited are not asked for', () => {
  const { sender, unwanted } = createSender();
  const lane = new RecordingLane();
  for (const pgoff of range(0, 10)) sender.ask({ blockId: 'ram0', pgoff });
  range(0, 9).forEach((pgoff) => unwanted.add(pgoff));
  sender.attach(
    lane,
    range(0, 10).map((pgoff) => ({ blockId: 'ram0', pgoff })),
  );
  expect(lane.pgoffs).toEqual([9]);
});

test('a large range of given-up pages is told in as many messages as it takes', () => {
  const { sender } = createSender();
  const lane = new RecordingLane();
  sender.attach(lane, []);
  sender.tellRemoved('ram0', { pgoff: 5, pageCount: 9_000 });
  sender.flush();
  expect(lane.sent.every(({ $case }) => $case === 'remove')).toBe(true);
  expect(lane.pgoffs).toEqual(range(5, 9_000));
});
