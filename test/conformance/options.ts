import { parseArgs } from 'node:util';

export const USAGE = `Usage: npm run conformance -- [options]

Holds implementations of proto/umem/v1 against the rules of the protocol, over gRPC. Without --source
and --umemd it starts and tests this project's own services.

  --source ADDR       test the source-agent at this address (host:port or unix:PATH)
  --vm NAME           with --source: the registered VM that is used; default: the first that runs. Repeated:
                      further VMs, for rules after which a guest cannot run there again (--destructive)
  --ram ID=PATH       with --source: RAM file of a block on this host, to compare pages with; repeatable.
                      VM/ID=PATH: of a further VM
  --listen HOST:PORT  with --source: where the source reaches this program; default 127.0.0.1:0
  --destructive       with --source: also the rules after which the guest cannot run there again
  --umemd ADDR        test the page server at this address, which must run on this host
  --seed NUMBER       rules with random histories try this one; default: one that is always the same and a new one
  --only TEXT         only rules whose id contains TEXT; repeatable
  --list              print the rules and do not run them
  --json              print one JSON object instead of a table

Exit code: 0 when every rule holds, 1 when one does not, 2 for wrong usage.`;

export interface Options {
  readonly source: string | null;
  readonly vms: readonly string[];
  readonly ramPaths: ReadonlyMap<string, string>;
  readonly listen: string;
  readonly destructive: boolean;
  readonly umemd: string | null;
  /** Null: none was chosen. */
  readonly seed: number | null;
  readonly only: readonly string[];
  readonly list: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

/** Throws TypeError on wrong usage. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      source: { type: 'string' },
      vm: { type: 'string', multiple: true, default: [] },
      ram: { type: 'string', multiple: true, default: [] },
      listen: { type: 'string', default: '127.0.0.1:0' },
      destructive: { type: 'boolean', default: false },
      umemd: { type: 'string' },
      seed: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { source = null, umemd = null, vm: vms, ram, seed, ...others } = values;
  return { source, umemd, vms, ramPaths: toPaths(ram), seed: toSeed(seed), ...others };
}

function toSeed(text: string | undefined): number | null {
  if (text === undefined) return null;
  const seed = Number(text);
  if (text === '' || !Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new TypeError(`--seed takes a whole number below 2^32, not "${text}"`);
  return seed;
}

function toPaths(entries: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    entries.map((entry) => {
      const at = entry.indexOf('=');
      if (at < 1) throw new TypeError(`--ram takes ID=PATH, not "${entry}"`);
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}
