import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials } from '@grpc/grpc-js';
import { call, UmemdClient, type Umem } from '@umem/api';

const MAIN = fileURLToPath(new URL('../../../page-server/dist/main.js', import.meta.url));
const START_TIMEOUT_MS = 30_000;

/** The built page server in a process of its own: it is another service, so it is not imported. */
export class PageServerProcess {
  readonly address: string;
  readonly client: UmemdClient;
  readonly #child: ChildProcess;

  private constructor(address: string, child: ChildProcess) {
    this.address = address;
    this.#child = child;
    this.client = new UmemdClient(address, credentials.createInsecure());
  }

  static async start(dir: string): Promise<PageServerProcess> {
    const stateDir = join(dir, 'ps');
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const address = `unix:${join(stateDir, 'u.sock')}`;
    const args = ['--listen', address, '--state-dir', stateDir, '--max-reconnect-delay', '100ms'];
    const log = process.env['UMEM_TEST_LOG'] === undefined ? 'ignore' : 'inherit';
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', log, log] });
    const server = new PageServerProcess(address, child);
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`The page server ended at once with code ${code}`)));
      server.client.waitForReady(Date.now() + START_TIMEOUT_MS, (error) =>
        error ? reject(error) : resolve(),
      );
    });
    return server;
  }

  async list(): Promise<Umem[]> {
    return (await call(this.client, this.client.listUmems, {}, { peer: 'page-server' })).umems;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.client.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill(signal);
    await once(this.#child, 'exit');
  }
}
