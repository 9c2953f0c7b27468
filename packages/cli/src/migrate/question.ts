import { createInterface } from 'node:readline';
import type { CliIo } from '../io.js';

export type Answer = 'cancel' | 'detach' | 'go on';

const QUESTION =
  'The guest still runs on the source. [c]ancel the migration, [d]etach and let it go on, or [g]o on watching? ';

/**
 * Asks a person what Ctrl-C was meant for. Null when `signal` takes the question back; the end of
 * the input means detach, because nobody is there to watch.
 */
export function askWhatToDo(io: CliIo, signal: AbortSignal): Promise<Answer | null> {
  // The terminal stays in line mode, so a second Ctrl-C is a signal again.
  const lines = createInterface({ input: io.stdin, terminal: false });
  return new Promise((resolve) => {
    const finish = (answer: Answer | null): void => {
      signal.removeEventListener('abort', takeBack);
      lines.removeAllListeners();
      lines.close();
      resolve(answer);
    };
    const takeBack = (): void => {
      io.stderr.write('\n');
      finish(null);
    };
    lines.on('line', (line) => {
      const answer = toAnswer(line);
      if (answer) finish(answer);
      else io.stderr.write('Answer c, d or g: ');
    });
    lines.on('close', () => finish('detach'));
    if (signal.aborted) takeBack();
    else signal.addEventListener('abort', takeBack, { once: true });
    io.stderr.write(`\n${QUESTION}`);
  });
}

function toAnswer(line: string): Answer | null {
  const word = line.trim().toLowerCase();
  if (word === '') return null;
  return (['cancel', 'detach', 'go on'] as const).find((answer) => answer.startsWith(word)) ?? null;
}
