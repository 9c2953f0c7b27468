import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { HostPrecondition } from '@umem/errors';

const run = promisify(execFile);

/** The user that a VMM runs as, and who owns what it opens. */
export interface Owner {
  /** As it was configured, for messages. */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** This process's own user. */
export function ownUser(): Owner {
  const uid = process.geteuid?.() ?? 0;
  return { name: `uid ${uid}`, uid, gid: process.getegid?.() ?? 0 };
}

/**
 * Looks `user[:group]` up, both by name or number, in whatever user database the host has. The
 * group matters where the VMM needs one, as for /dev/kvm. Throws HostPrecondition.
 */
export async function resolveOwner(text: string): Promise<Owner> {
  const [user = '', group] = text.split(':', 2);
  const passwd = await lookUp('passwd', user, text);
  const uid = Number(passwd[2]);
  const gid = group === undefined ? Number(passwd[3]) : Number((await lookUp('group', group, text))[2]);
  if (!Number.isSafeInteger(uid) || !Number.isSafeInteger(gid))
    throw new HostPrecondition(`User "${text}" has no numeric ids in the user database`);
  return { name: text, uid, gid };
}

/** One entry of a database, by getent(1), which asks what the host is configured to ask. */
async function lookUp(database: 'passwd' | 'group', key: string, text: string): Promise<string[]> {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?$/.test(key))
    throw new HostPrecondition(`"${text}" is not a user: write user or user:group`);
  try {
    const { stdout } = await run('getent', [database, key]);
    return stdout.trim().split(':');
  } catch (cause) {
    const what = database === 'passwd' ? 'User' : 'Group';
    throw new HostPrecondition(
      `${what} "${key}" of "${text}" does not exist on this host: create it or name another`,
      {
        cause,
      },
    );
  }
}
