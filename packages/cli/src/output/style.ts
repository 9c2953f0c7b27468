import { styleText } from 'node:util';
import type { Output } from '../io.js';

type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** Colours for a terminal that wants them; plain text elsewhere (https://no-color.org). */
export function createPaint(output: Output, env: Readonly<Record<string, string | undefined>>): Paint {
  const plain = output.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return plain ? (_style, text) => text : (style, text) => styleText(style, text);
}
