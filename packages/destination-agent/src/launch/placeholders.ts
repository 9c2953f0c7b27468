import { HostPrecondition } from '@umem/errors';
import type { RamFile } from '../ram/ram-files.js';
import type { LaunchProfile } from './launch-profile.js';

/** What a profile's placeholders stand for. */
export interface PlaceholderValues {
  /** `${name}`: the VM's name. */
  readonly name: string;
  /** `${qmp}`: where the VMM must listen for QMP. */
  readonly qmpPath: string;
  /** `${ram.ID.path}` and `${ram.ID.size}` in bytes, where ID is a block id or its number from 0. */
  readonly ram: readonly RamFile[];
}

/** A profile with its placeholders filled in. */
export interface LaunchCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Fills a profile in. Throws HostPrecondition for a placeholder that stands for nothing. */
export function fillIn(profile: LaunchProfile, values: PlaceholderValues): LaunchCommand {
  const fill = (text: string): string =>
    text.replace(/\$\{([^}]*)\}/g, (_, placeholder: string) => resolve(placeholder, profile.name, values));
  return {
    command: profile.command,
    args: profile.args.map(fill),
    env: Object.fromEntries(Object.entries(profile.env).map(([key, value]) => [key, fill(value)])),
  };
}

function resolve(placeholder: string, profile: string, { name, qmpPath, ram }: PlaceholderValues): string {
  if (placeholder === 'name') return name;
  if (placeholder === 'qmp') return qmpPath;
  const match = /^ram\.(.+)\.(path|size)$/.exec(placeholder);
  const file = match?.[1] === undefined ? undefined : findBlock(match[1], ram);
  if (file) return match?.[2] === 'path' ? file.path : String(file.block.sizeBytes);
  const known = ram.map(({ block }) => block.blockId).join(', ');
  throw new HostPrecondition(
    `Launch profile "${profile}" has an unknown placeholder \${${placeholder}}: use \${name}, \${qmp}, \${ram.ID.path} or \${ram.ID.size}, where ID is ${known} or a number below ${ram.length}`,
  );
}

/** An id goes before a number, should a block be called "0". */
function findBlock(id: string, ram: readonly RamFile[]): RamFile | undefined {
  return (
    ram.find(({ block }) => block.blockId === id) ?? (/^\d{1,3}$/.test(id) ? ram[Number(id)] : undefined)
  );
}
