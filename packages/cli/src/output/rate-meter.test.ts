import { describe, expect, it } from 'vitest';
import { RateMeter } from './rate-meter.js';

describe('RateMeter', () => {
  it('knows nothing until two readings', () => {
    const rate = new RateMeter();
    expect(rate.perSecond).toBeNull();
    rate.add(0, 100);
    expect(rate.perSecond).toBeNull();
    rate.add(0, 100);
    expect(rate.perSecond).toBeNull();
  });

  it('forgets what is older than three seconds', () => {
    const rate = new RateMeter();
    rate.add(0, 0);
    rate.add(1_000, 1_000_000);
    for (let at = 2_000; at <= 6_000; at += 1_000) rate.add(at, 1_000_000 + (at - 1_000) / 10);
    expect(rate.perSecond).toBe(100);
  });

  it('begins again when the count falls', () => {
    const rate = new RateMeter();
    rate.add(0, 5_000);
    rate.add(1_000, 0);
    rate.add(2_000, 300);
    expect(rate.perSecond).toBe(300);
  });
});
