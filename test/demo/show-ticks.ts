import type { SerialConsole } from '../kit/serial-console.js';
import type { Screen } from './screen.js';

const TICKS_SHOWN = 3;

/** Shows the first ticks with a number above `after`, as they come. */
export async function showTicks(screen: Screen, console: SerialConsole, after: number): Promise<void> {
  let number = after;
  for (let shown = 0; shown < TICKS_SHOWN; shown++) {
    const tick = await console.waitForTick((candidate) => candidate.number > number);
    screen.tick(tick);
    number = tick.number;
  }
}
