import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repositoryRoot } from '../../kit/repository.js';

const SOURCE = join(repositoryRoot, 'test/conformance/vmm/vmm.c');

/** Builds the VMM into a folder; answers its path. */
export async function buildVmm(folder: string): Promise<string> {
  const program = join(folder, 'vmm');
  const flags = ['-std=gnu11', '-O1', '-g', '-pthread', '-Wall', '-Wextra', '-Werror'];
  await promisify(execFile)(process.env.CC ?? 'cc', [...flags, '-o', program, SOURCE]);
  return program;
}
