import { describe, expect, it } from 'vitest';
import { DeadlineExceeded, PeerUnavailable } from '@umem/errors';
import { parseTick, TickLog } from './ticks.js';

const line = (seq: number) => `TICK seq=${seq} ops=${seq * 10} mismatches=0 worst_us=7 at_us=${seq * 1000}`;

describe('ticks', () => {
  it('are read from lines; other lines are none', () => {
    expect(parseTick(line(3))).toEqual({ seq: 3, ops: 30, mismatches: 0, worstUs: 7, atUs: 3000 });
    expect(parseTick(`${line(3)} extra=1`)).not.toBeNull();
    for (const text of ['', 'TICK', 'TICK seq=x ops=1 mismatches=0 worst_us=1 at_us=1', `x${line(1)}`])
      expect(parseTick(text)).toBeNull();
  });

  it('are given to whoever waits for one like it', async () => {
    const log = new TickLog();
    const third = log.next(({ seq }) => seq >= 3, 1000, 'g');
    for (const seq of [1, 2, 3, 4]) log.take(line(seq));
    expect((await third).seq).toBe(3);
    expect(log.last?.seq).toBe(4);
  });

  it('are told to whoever watches, until that ends', () => {
    const log = new TickLog();
    const seen: number[] = [];
    const end = log.watch(({ seq }) => seen.push(seq));
    log.take(line(1));
    log.take(line(2));
    end();
    log.take(line(3));
    expect(seen).toEqual([1, 2]);
  });

  it('that do not come are given up, with the last one', async () => {
    const log = new TickLog();
    log.take(line(1));
    const next = log.next(() => true, 20, 'g');
    await expect(next).rejects.toThrow(DeadlineExceeded);
    await expect(next).rejects.toThrow(/"seq":1/);
  });

  it('end with the guest', async () => {
    const log = new TickLog();
    const next = log.next(() => true, 1000, 'g');
    log.end('g ended (SIGKILL)');
    await expect(next).rejects.toThrow(PeerUnavailable);
    await expect(log.next(() => true, 1000, 'g')).rejects.toThrow(/SIGKILL/);
  });
});
