import { HostPrecondition } from '@umem/errors';
import type { RamFile } from '../ram/ram-files.js';

/** What the preload library reads, by variable. */
export type VmmEnvironment = Readonly<Record<'LD_PRELOAD' | 'UMEM_RAM' | 'UMEM_HANDOFF', string>>;

/**
 * The variables that a VMM must be started with, so that mapping a RAM file hands it over before
 * anything touches it. Throws HostPrecondition for a path that the dynamic loader would take apart.
 */
export function vmmEnvironment(
  preloadPath: string,
  ram: readonly RamFile[],
  handoffSocketPath: string,
): VmmEnvironment {
  // ld.so(8) separates the libraries of LD_PRELOAD by colons and spaces.
  if (/[\s:]/.test(preloadPath))
    throw new HostPrecondition(
      `The preload library's path ${JSON.stringify(preloadPath)} has a space or colon, which LD_PRELOAD cannot hold: install umem elsewhere`,
    );
  return {
    LD_PRELOAD: preloadPath,
    UMEM_RAM: ram.map(({ block, path }) => `${block.blockId}=${path}`).join(':'),
    UMEM_HANDOFF: handoffSocketPath,
  };
}

/** The whole environment of a launched VMM: a profile's own LD_PRELOAD stays, behind ours. */
export function launchEnvironment(
  ours: VmmEnvironment,
  profile: Readonly<Record<string, string>>,
): Record<string, string> {
  const preloads = [ours.LD_PRELOAD, profile['LD_PRELOAD']].filter(
    (path) => path !== undefined && path !== '',
  );
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    ...profile,
    ...ours,
    LD_PRELOAD: preloads.join(':'),
  };
}
