import type { Output } from '../io.js';

/** The version of every JSON shape; it changes when a key changes its meaning or goes away. */
export const API_VERSION = 'umem/v1';

/** Prints one document on one line. */
export function printJson(stdout: Output, document: object): void {
  stdout.write(`${JSON.stringify({ apiVersion: API_VERSION, ...document })}\n`);
}

/** Microseconds as milliseconds with their fraction. */
export function toMs(us: bigint): number {
  return Number(us) / 1000;
}

/** What protobuf cannot leave out: an empty text is null. */
export function orNull(text: string): string | null {
  return text === '' ? null : text;
}
