import { eventually } from './eventually.js';
import type { Host } from './host.js';
import { umemctlJson } from './umemctl.js';

/** What `umemctl incoming get --json` prints, as far as tests need it. */
export interface IncomingReport {
  readonly name: string;
  readonly state: string;
  readonly ram: readonly { readonly id: string; readonly path: string; readonly size: number }[];
  readonly env: Readonly<Record<string, string>>;
  readonly qmp: string;
  readonly pages: { readonly demand: number; readonly background: number; readonly remaining: number };
  /** Null until a migration fills it. */
  readonly migrationId: string | null;
  /** Null when the destination-agent did not launch the VMM. */
  readonly vmmPid: number | null;
  /** Null before the page server has said anything. */
  readonly umemState: string | null;
  /** Null unless it is FAILED. */
  readonly error: { readonly message: string; readonly guestRecoverable: boolean } | null;
}

/** An incoming VM of a host; rejects when there is none. */
export async function getIncoming(host: Host, name: string): Promise<IncomingReport> {
  const args = ['incoming', 'get', name, '--agent', host.destinationAgent.address];
  return (await umemctlJson(args)) as IncomingReport;
}

/** Waits until it is there and as `accepts` wants it. */
export function waitForIncoming(
  host: Host,
  name: string,
  accepts: (incoming: IncomingReport) => boolean,
  timeoutMs?: number,
): Promise<IncomingReport> {
  return eventually(
    `${name} to get there on the ${host.name} host`,
    async () => {
      const incoming = await getIncoming(host, name).catch(() => null);
      return incoming !== null && accepts(incoming) ? incoming : null;
    },
    timeoutMs,
  );
}
