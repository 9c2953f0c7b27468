import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Lab } from './lab.js';

/** Stands for the VMM: opens the RAM file and gives its descriptor to whoever connects. */
const GIVER = `
import array, os, socket, sys
ram = os.open(sys.argv[1], os.O_RDWR)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[2])
server.listen()
print("listening", flush=True)
while True:
    peer = server.accept()[0]
    socket.send_fds(peer, [b"x"], [ram])
    peer.close()
`;

/**
 * Stands for a vhost-user back end: maps what it was given, in parts that overlap as those of libvhost-user
 * do, and reads or writes through the mappings as it is told.
 */
const BACK_END = `
import hashlib, mmap, os, socket, sys
size = int(sys.argv[2])
quarter = size // 4
parts = []
def remap():
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(sys.argv[1])
    ram = socket.recv_fds(peer, 1, 1)[1][0]
    parts.clear()
    for offset, length in ((0, quarter), (0, size), (quarter, quarter), (2 * quarter, 2 * quarter)):
        parts.append(mmap.mmap(ram, length, offset=offset))
    os.close(ram)
def digest():
    whole = hashlib.sha256()
    for part in parts[0], parts[2], parts[3]:
        for at in range(0, len(part), 4096): whole.update(part[at:at + 4096])
    return whole.hexdigest()
for line in sys.stdin:
    command, *arguments = line.split()
    if command == "map": remap(); print("mapped", flush=True)
    if command == "digest": print(digest(), flush=True)
    if command == "write":
        parts[3][-1] = int(arguments[0])
        print(parts[1][-1], flush=True)
`;

/** A process that has guest RAM from another one, by a descriptor. */
export interface RamBackEnd {
  readonly pid: number;
  /** Maps it, once more when it is mapped. */
  map(): Promise<void>;
  /** SHA-256 of all RAM, in hexadecimal; waits for pages that have not arrived. */
  digest(): Promise<string>;
  /** Writes the last byte of RAM through one mapping and answers with what another reads there. */
  writeLastByte(value: number): Promise<number>;
}

/** Starts it with `env`; it maps nothing yet. */
export async function startRamBackEnd(
  lab: Lab,
  ram: { readonly path: string; readonly size: number },
  env: Readonly<Record<string, string>>,
): Promise<RamBackEnd> {
  const socket = join(lab.dir, 'ram.sock');
  const giver = spawn('python3', ['-c', GIVER, ram.path, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  lab.cleanup.defer('kill the giver of RAM', () => giver.kill('SIGKILL'));
  await once(giver.stdout, 'data');
  const child = spawn('python3', ['-c', BACK_END, socket, String(ram.size)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  lab.cleanup.defer('kill the back end', () => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (command: string): Promise<string> => {
    child.stdin.write(`${command}\n`);
    const next = await lines.next();
    if (next.done === true) throw new Error(`The back end ended at ${command}`);
    return next.value;
  };
  return {
    pid: child.pid ?? 0,
    async map() {
      await ask('map');
    },
    digest: () => ask('digest'),
    writeLastByte: async (value) => Number(await ask(`write ${value}`)),
  };
}
