import { DeadlineExceeded, PeerUnavailable } from '@umem/errors';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SourceWatchdog } from './source-watchdog.js';

describe('SourceWatchdog', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const start = () => {
    const expire = vi.fn();
    return { expire, dog: new SourceWatchdog({ name: 'vm1', timeoutMs: 1000, graceMs: 100 }, expire) };
  };

  it('expires after a time without progress', () => {
    const { expire, dog } = start();
    vi.advanceTimersByTime(999);
    dog.progress();
    vi.advanceTimersByTime(999);
    expect(expire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(expire).toHaveBeenCalledExactlyOnceWith(expect.any(DeadlineExceeded));
  });

  it('expires after the grace without lanes, however much progress there is', () => {
    const { expire, dog } = start();
    dog.lanes(false);
    vi.advanceTimersByTime(60);
    dog.lanes(false);
    dog.progress();
    vi.advanceTimersByTime(40);
    expect(expire).toHaveBeenCalledExactlyOnceWith(expect.any(PeerUnavailable));
    vi.advanceTimersByTime(5000);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  it('forgives lanes that come back within the grace', () => {
    const { expire, dog } = start();
    dog.lanes(false);
    vi.advanceTimersByTime(99);
    dog.lanes(true);
    vi.advanceTimersByTime(500);
    expect(expire).not.toHaveBeenCalled();
  });

  it('never expires once it was stopped, whatever it hears', () => {
    const { expire, dog } = start();
    dog.lanes(false);
    dog.stop();
    dog.lanes(true);
    dog.lanes(false);
    dog.progress();
    vi.advanceTimersByTime(5000);
    expect(expire).not.toHaveBeenCalled();
  });
});
