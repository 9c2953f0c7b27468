import type { UmemCommand } from './umem-command.js';
import { toAddress, toSeconds } from './values.js';

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
