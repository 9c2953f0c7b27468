import { open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Internal, messageOf } from '@umem/errors';
import { z } from 'zod';
import { events } from '../events.js';
import { silentLogger, type Logger } from '../log/logger.js';

export interface StateFileSettings<T> {
  /** Changes when old files can no longer be read; files of another version are set aside. */
  readonly version: number;
  /** Reads what JSON makes of a value. */
  readonly schema: z.ZodType<T>;
  /** Told when a file is set aside. */
  readonly log?: Logger;
}

/**
 * A small JSON file that outlives the process. A crash at any moment leaves the old value or the new
 * one; a file that cannot be read is set aside as `<path>.bad-<time>` and reported, never fatal.
 */
export class StateFile<T> {
  readonly path: string;
  readonly #settings: StateFileSettings<T>;
  /** One write at a time, in the order of the calls. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, settings: StateFileSettings<T>) {
    this.path = path;
    this.#settings = settings;
  }

  /** On disk when it resolves. The file has mode 0600. Throws Internal for a value that `read` would refuse. */
  write(value: T): Promise<void> {
    const { version, schema } = this.#settings;
    const text = JSON.stringify({ version, value });
    const readBack = schema.safeParse((JSON.parse(text) as { value: unknown }).value);
    if (!readBack.success)
      throw new Internal(`The value for ${this.path} could not be read back: ${readBack.error.message}`);
    return this.#next(() => this.#replace(text));
  }

  /** The value, or null when there is none or it was set aside. */
  read(): Promise<T | null> {
    return this.#next(() => this.#load());
  }

  /** Removes the file if it is there; gone from disk when it resolves. */
  remove(): Promise<void> {
    return this.#next(async () => {
      await rm(this.path, { force: true });
      await syncDirectory(this.path);
    });
  }

  #next<R>(action: () => Promise<R>): Promise<R> {
    const done = this.#last.then(action);
    // Whoever called gets the failure; the next action does not depend on it.
    this.#last = done.catch(() => {});
    return done;
  }

  async #replace(text: string): Promise<void> {
    const temporary = `${this.path}.tmp`;
    // Left over from a crash between open and rename: it never became the value.
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', 0o600);
    await closing(file, async () => {
      await file.writeFile(text);
      await file.sync();
    });
    await rename(temporary, this.path);
    await syncDirectory(this.path);
  }

  async #load(): Promise<T | null> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
    try {
      const { version, schema } = this.#settings;
      return z.object({ version: z.literal(version), value: schema }).parse(JSON.parse(text)).value;
    } catch (error) {
      const aside = `${this.path}.bad-${new Date().toISOString().replace(/[-:.]/g, '')}`;
      await rename(this.path, aside);
      const { log = silentLogger } = this.#settings;
      log.event(events.stateFileSetAside, { path: this.path, aside, why: messageOf(error) });
      return null;
    }
  }
}

/** Makes a rename or removal in the file's directory survive a power loss. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r');
  await closing(directory, () => directory.sync());
}

async function closing(file: FileHandle, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } finally {
    await file.close();
  }
}
