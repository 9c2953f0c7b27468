import type { PreflightCheck } from '@umem/api';
import { messageOf, NotFound } from '@umem/errors';
import { findCommand } from '../launch/find-command.js';
import { loadProfile, type LaunchProfile } from '../launch/launch-profile.js';
import { fillIn, type PlaceholderValues } from '../launch/placeholders.js';
import { findUnsafeOptions } from '../launch/unsafe-options.js';
import { resolveOwner, type Owner } from '../ram/file-owner.js';
import { failed, passed } from './check.js';

/** A profile that was looked for, with what was found on the way. */
export interface ProfileFinding {
  readonly profile: LaunchProfile | null;
  readonly check: PreflightCheck;
}

/** Whether there is a profile and it can be read. */
export async function checkProfile(dir: string | undefined, name: string): Promise<ProfileFinding> {
  const check = 'profile';
  if (name === '')
    return { profile: null, check: passed(check, 'None: the VMM is launched by somebody else') };
  try {
    return { profile: await loadProfile(dir, name), check: passed(check, `"${name}" is valid`) };
  } catch (error) {
    const fix = error instanceof NotFound ? 'Make it, or prepare without a profile' : 'Correct it';
    return { profile: null, check: failed(check, messageOf(error), fix) };
  }
}

/** As whom the VMM will run, with what was found on the way. */
export interface OwnerFinding {
  readonly owner: Owner;
  readonly check: PreflightCheck;
}

/** Whether there is the user that the VMM of a profile runs as; without one it is `usual`. */
export async function checkOwner(profile: LaunchProfile | null, usual: Owner): Promise<OwnerFinding> {
  const check = 'vmm-user';
  try {
    const owner = await ownerOf(profile, usual);
    return { owner, check: passed(check, `${owner.name} (uid ${owner.uid}, gid ${owner.gid})`) };
  } catch (error) {
    return { owner: usual, check: failed(check, messageOf(error), 'Correct "user" of the profile') };
  }
}

/** The user that the VMM runs as. Throws HostPrecondition. */
export async function ownerOf(profile: LaunchProfile | null, usual: Owner): Promise<Owner> {
  return profile?.user === undefined ? usual : resolveOwner(profile.user);
}

/** Whether the VMM of a profile is there and its options let guest RAM arrive after the guest. */
export async function checkVmm(profile: LaunchProfile, values: PlaceholderValues): Promise<PreflightCheck[]> {
  return [checkOptions(profile, values), await checkCommand(profile)];
}

function checkOptions(profile: LaunchProfile, values: PlaceholderValues): PreflightCheck {
  const check = 'vmm-options';
  let args;
  try {
    ({ args } = fillIn(profile, values));
  } catch (error) {
    return failed(check, messageOf(error), 'Correct the placeholder');
  }
  const unsafe = findUnsafeOptions(args);
  if (unsafe.length === 0) return passed(check, `${args.length} arguments, none that post-copy forbids`);
  return failed(
    check,
    unsafe.map(({ option, why }) => `"${option}" of profile "${profile.name}": ${why}`).join('; '),
    unsafe.map(({ fix }) => fix.charAt(0).toUpperCase() + fix.slice(1)).join('; '),
  );
}

async function checkCommand({ name, command }: LaunchProfile): Promise<PreflightCheck> {
  const check = 'vmm-binary';
  const path = await findCommand(command);
  if (path !== null) return passed(check, path);
  return failed(
    check,
    `VMM "${command}" of profile "${name}" is not an executable on this host`,
    'Install it, or give its absolute path',
  );
}
