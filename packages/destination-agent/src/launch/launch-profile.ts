import { constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import { HostPrecondition, InvalidArgument, messageOf, NotFound } from '@umem/errors';
import { isName, NAME_RULE } from '@umem/ram';
import { parse } from 'yaml';
import { z } from 'zod';
import { HUGE_PAGE_RULES } from '../ram/ram-plan.js';

/** YAML reads `-m 512` as a number; the VMM wants text. */
const text = z.union([z.string(), z.number()]).transform(String);

const schema = z.strictObject({
  /** The VMM: an absolute path, or a name found in PATH. */
  command: z.string().min(1),
  /** Its arguments; placeholders are filled in. */
  args: z.array(text).default([]),
  /** Its environment; placeholders are filled in. PATH is the agent's. */
  env: z
    .record(
      z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'It must be the name of an environment variable'),
      text,
    )
    .default({}),
  /** Which RAM blocks are on huge pages; left out: --huge-pages. */
  hugePages: z.enum(HUGE_PAGE_RULES).optional(),
  /** user[:group] it runs as; left out: --vmm-user. */
  user: z.string().min(1).optional(),
});

/** How to start a VMM: a file of the destination host, never a request. */
export interface LaunchProfile extends z.output<typeof schema> {
  readonly name: string;
}

/** Largest profile, in bytes. */
const MAX_BYTES = 64 * 1024;

/**
 * Reads `<dir>/<name>.yaml`. Throws InvalidArgument for what is not a name, NotFound, and
 * HostPrecondition for a file that is not a profile, with the place in it.
 */
export async function loadProfile(dir: string | undefined, name: string): Promise<LaunchProfile> {
  if (!isName(name))
    throw new InvalidArgument(`Profile ${JSON.stringify(name)} is not a name: use ${NAME_RULE}`);
  if (dir === undefined)
    throw new NotFound(`There is no launch profile "${name}": this agent was started without --vm-profiles`);
  const path = join(dir, `${name}.yaml`);
  const content = await readProfile(path, name);
  try {
    return { name, ...schema.parse(parse(content)) };
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : messageOf(cause);
    throw new HostPrecondition(`Launch profile ${path} is not valid: ${why}`);
  }
}

async function readProfile(path: string, name: string): Promise<string> {
  let file;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
      throw new NotFound(`There is no launch profile "${name}": make ${path}, or launch the VMM yourself`);
    throw new HostPrecondition(`Cannot read launch profile ${path}`, { cause });
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > MAX_BYTES)
      throw new HostPrecondition(`Launch profile ${path} must be a file of at most ${MAX_BYTES} bytes`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
