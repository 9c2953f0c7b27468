import { Placement } from '@umem/api';
import type { UmemCommand } from './umem-command.js';
import { toAddress, toFlagBits, toSeconds } from './values.js';

/** Flags that several commands share. */

export function addJson(command: UmemCommand): void {
  command.addOption(command.createOption('--json', 'print one JSON document on stdout'));
}

export function addAddress(command: UmemCommand, name: string, description: string): void {
  const option = command.createOption(`--${name} <address>`, `${description}: host:port or unix:PATH`);
  command.addOption(option.argParser(toAddress).makeOptionMandatory());
}

export function addAgent(command: UmemCommand, service: 'source-agent' | 'destination-agent'): void {
  addAddress(command, 'agent', `the ${service}`);
}

/** What `addPlacement` reads. */
export interface PlacementOptions {
  readonly placement: 'copy' | 'cache';
  readonly postcopyFlags: number;
}

/** How arriving pages get into guest RAM. */
export function addPlacement(command: UmemCommand): void {
  command.addOption(
    command
      .createOption(
        '--placement <how>',
        "how pages get into guest RAM: copy, through the VMM's userfaultfd; cache, for several processes on one RAM file",
      )
      .choices(['copy', 'cache'])
      .default('copy'),
  );
  command.addOption(
    command
      .createOption(
        '--postcopy-flags <flags>',
        "the original protocol's flags; 1: touch pages once they are there, only with --placement cache",
      )
      .argParser(toFlagBits)
      .default(0),
  );
}

/** As they travel. */
export function toPlacement({ placement, postcopyFlags }: PlacementOptions): {
  placement: Placement;
  postcopyFlags: number;
} {
  return { placement: placement === 'cache' ? Placement.CACHE : Placement.COPY, postcopyFlags };
}

/** How a migration is shown while it runs. */
export function addWatching(command: UmemCommand): void {
  command.addOption(command.createOption('-q, --quiet', 'show no progress'));
  command.addOption(
    command
      .createOption('--reconnect-timeout <seconds>', 'give up watching after so long without contact')
      .argParser(toSeconds)
      .default(300),
  );
}
