import type { Host } from '../kit/host.js';
import { waitForIncoming } from '../kit/incoming.js';
import type { Lab } from '../kit/lab.js';
import { toMigrationReport, type MigrationReport } from '../kit/migration-report.js';
import { touchMemory } from '../kit/touch-memory.js';
import { lastJson, startUmemctl } from '../kit/umemctl.js';
import type { DemoOptions } from './options.js';

/** The flags of `umemctl migrate` that the demo's own options ask for. */
export function migrateFlags({ background, maxBandwidth }: DemoOptions): string[] {
  return [
    '-p',
    ...(background ? [] : ['--no-background']),
    ...(maxBandwidth === null ? [] : ['--max-bandwidth', maxBandwidth]),
  ];
}

/** Runs `umemctl migrate` with its progress on stderr; throws when it fails. */
export async function migrate(
  lab: Lab,
  { source, destination }: { readonly source: Host; readonly destination: Host },
  vm: string,
  options: DemoOptions,
): Promise<MigrationReport> {
  const addresses = [
    ...['--source', source.sourceAgent.address],
    ...['--destination', destination.destinationAgent.address],
  ];
  const args = ['migrate', vm, ...addresses, ...migrateFlags(options), '--json'];
  const child = await startUmemctl(lab, args, { showStderr: true });
  if (!options.background) await touchWhatTheGuestNeverWill(lab, destination, vm);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`umemctl migrate ended with exit code ${code}.`);
  return toMigrationReport(lastJson(child.stdout));
}

async function touchWhatTheGuestNeverWill(lab: Lab, destination: Host, vm: string): Promise<void> {
  const { vmmPid, ram } = await waitForIncoming(
    destination,
    vm,
    ({ state }) => state === 'RESUMED' || state === 'COMPLETED',
  );
  if (vmmPid === null) throw new Error('The destination-agent does not know the process id of its QEMU.');
  for (const { path } of ram) await touchMemory(lab, vmmPid, path);
}
