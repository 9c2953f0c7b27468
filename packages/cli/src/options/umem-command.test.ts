import { describe, expect, it } from 'vitest';
import { UmemCommand } from './umem-command.js';
import { toByteCount } from './values.js';

function parse(env: Record<string, string>, ...argv: string[]): Record<string, unknown> {
  let seen: Record<string, unknown> = {};
  const program = new UmemCommand(env, 'program')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  const run = program.command('run').exitOverride();
  run.addOption(run.createOption('--size <bytes>').argParser(toByteCount).default(1));
  run.addOption(run.createOption('--json'));
  run.addOption(run.createOption('-n, --no-background'));
  run.addOption(run.createOption('--agent <address...>'));
  run.addOption(run.createOption('--after <what>').choices(['keep', 'quit']));
  run.action((options: Record<string, unknown>) => {
    seen = options;
  });
  program.parse(['run', ...argv], { from: 'user' });
  return seen;
}

describe('UmemCommand', () => {
  it('takes flags from the environment, parsed like the command line', () => {
    const env = { UMEM_SIZE: '2KiB', UMEM_JSON: '1', UMEM_NO_BACKGROUND: 'yes', UMEM_AGENT: 'a:1, b:2' };
    expect(parse(env)).toEqual({ size: 2048, json: true, background: false, agent: ['a:1', 'b:2'] });
  });

  it('lets the command line win', () => {
    expect(
      parse({ UMEM_SIZE: '2KiB', UMEM_AGENT: 'a:1' }, '--size', '4KiB', '--agent', 'b:2', 'c:3'),
    ).toMatchObject({
      size: 4096,
      agent: ['b:2', 'c:3'],
    });
  });

  it('can say no, and treats an empty variable as absent', () => {
    expect(parse({ UMEM_JSON: '0', UMEM_NO_BACKGROUND: 'false', UMEM_SIZE: '' })).toEqual({
      size: 1,
      json: false,
      background: true,
    });
  });

  it.each([
    ['UMEM_JSON', 'maybe'],
    ['UMEM_SIZE', 'big'],
    ['UMEM_AFTER', 'explode'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => parse({ [name]: value })).toThrow(expect.objectContaining({ exitCode: 2 }) as Error);
  });
});
