import { readFileSync } from 'node:fs';
import { messageOf } from '@umem/errors';
import { LineCounter, parseDocument, isMap, isScalar } from 'yaml';
import { ConfigError } from './config-error.js';
import type { Layer } from './layer.js';
import type { Options } from './option.js';

/** Settings from a YAML file with the options' keys and no others. Throws ConfigError. */
export function readConfigFile(path: string, options: Options): Layer {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines });
  const at = (offset: number): string => `${path}:${lines.linePos(offset).line}`;
  if (document.errors.length > 0)
    throw new ConfigError(
      document.errors.map(({ pos, message }) => `${at(pos[0])} is not YAML: ${firstLine(message)}`),
    );
  const root = document.contents;
  const found: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  // An empty file, or one with comments only, sets nothing.
  if (root !== null && !isMap(root)) throw new ConfigError([`${path} must be a YAML map of settings`]);
  for (const { key, value } of root?.items ?? []) {
    const name = isScalar(key) ? String(key.value) : String(key);
    const place = at(isScalar(key) ? (key.range?.[0] ?? 0) : 0);
    found[name] = place;
    if (name === 'config') problems.push(`${place}: "config" cannot be set in a configuration file`);
    else if (!Object.hasOwn(options, name))
      problems.push(`${place}: unknown setting "${name}"${hint(name, options)}`);
    // A key without a value counts as not set.
    else values[name] = value?.toJS(document) ?? undefined;
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    values,
    describe: (_, key, value) =>
      `${found[key] ?? path}: ${key}${value === undefined ? '' : ` ${JSON.stringify(value)}`}`,
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([`Cannot read the configuration file: ${messageOf(error)}`]);
  }
}

function hint(name: string, options: Options): string {
  const plain = (text: string): string => text.replace(/[-_]/g, '').toLowerCase();
  const near = Object.keys(options).find((key) => plain(key) === plain(name));
  return near
    ? `; it is called "${near}"`
    : `; there are ${Object.keys(options)
        .filter((key) => key !== 'config')
        .join(', ')}`;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}
