import { constants } from 'node:os';
import { NativeError } from './errors.js';
import type { PlaceResult } from './native.js';

/**
 * What the fault path does next: go on; wake and go on; drain events and try again later (or, when
 * `placedBytes` is not 0, go on behind them: a short copy); give up the range.
 */
export type PlaceOutcome = 'placed' | 'already-present' | 'retry' | 'gone';

/** Gives the errno of a place ioctl its meaning; throws NativeError when it has none on the fault path. */
export function toPlaceOutcome(result: PlaceResult): PlaceOutcome {
  switch (result.errno) {
    case 0:
      return 'placed';
    case constants.errno.EEXIST:
      return 'already-present';
    case constants.errno.EAGAIN:
      return 'retry';
    case constants.errno.ENOENT: // the range is not registered any more
    case constants.errno.ESRCH: // the process has exited
      return 'gone';
    default:
      throw new NativeError('UFFDIO_COPY', result.errno, `a page behind ${result.placedBytes} placed bytes`);
  }
}
