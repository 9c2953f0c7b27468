import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What one test makes, and undoes when it ends, newest first. */
export class Scratch {
  readonly #undo: (() => unknown)[] = [];

  /** A new directory on tmpfs: for RAM files and sockets. */
  async directory(): Promise<string> {
    const path = await mkdtemp('/dev/shm/umem-vmm-');
    this.defer(() => rm(path, { recursive: true, force: true }));
    return path;
  }

  async path(name: string): Promise<string> {
    return join(await this.directory(), name);
  }

  defer(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  async clean(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo();
  }
}
