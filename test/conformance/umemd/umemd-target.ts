import { join } from 'node:path';
import { Lab } from '../../kit/lab.js';
import { Service } from '../../kit/service.js';

/** A page server under test. It runs on this host: VMMs hand over through Unix sockets. */
export interface UmemdTarget {
  readonly address: string;
  /** The end of what the service has logged; empty for somebody else's. */
  logs(): string;
  close(): Promise<void>;
}

/** Our own page server as a child process, quick to come to conclusions. */
export async function startOwnUmemd(): Promise<UmemdTarget> {
  const lab = await Lab.open();
  try {
    const service = await Service.start(lab, {
      name: 'page-server',
      program: 'page-server',
      listen: `unix:${join(lab.dir, 'umemd.sock')}`,
      stateDir: join(lab.dir, 'page-server'),
      args: [
        '--max-reconnect-delay',
        '50ms',
        '--max-refusals',
        '3',
        '--quit-timeout',
        '2s',
        '--handoff-timeout',
        '2s',
      ],
    });
    return { address: service.address, logs: () => lab.logs(), close: () => lab.close() };
  } catch (error) {
    await lab.close();
    throw error;
  }
}
