import { HostPrecondition } from '@umem/errors';
import { describe, expect, it } from 'vitest';
import { fillIn } from './placeholders.js';

const block = (blockId: string, sizeBytes: number) => ({
  block: { blockId, sizeBytes, hostPageSizeBytes: 4096 },
  path: `/ram/vm1/${blockId}`,
});
const values = { name: 'vm1', qmpPath: '/run/qmp.sock', ram: [block('pc.ram', 8192), block('0', 4096)] };
const profileOf = (...args: string[]) => ({ name: 'p', command: 'qemu', args, env: { X: '${name}' } });

describe('fillIn', () => {
  it('fills names, sockets and blocks by id, also ids with dots', () => {
    const { args, env } = fillIn(
      profileOf('a=${name},b=${qmp}', '${ram.pc.ram.path}:${ram.pc.ram.size}', '-S'),
      values,
    );
    expect(args).toEqual(['a=vm1,b=/run/qmp.sock', '/ram/vm1/pc.ram:8192', '-S']);
    expect(env).toEqual({ X: 'vm1' });
  });

  it('fills blocks by number, but an id goes first', () => {
    expect(fillIn(profileOf('${ram.0.size}', '${ram.1.path}'), values).args).toEqual(['4096', '/ram/vm1/0']);
  });

  it.each([
    '${nam}',
    '${}',
    '${ram.2.path}',
    '${ram.ram0.path}',
    '${ram.0.mode}',
    '${ram.0}',
    '${ram.-1.path}',
    '${constructor}',
  ])('refuses %s and lists what there is', (text) => {
    expect(() => fillIn(profileOf(text), values)).toThrow(HostPrecondition);
    expect(() => fillIn(profileOf(text), values)).toThrow(
      /unknown placeholder .*pc\.ram, 0 or a number below 2/,
    );
  });

  it('does not fill in what a value brings along', () => {
    expect(fillIn(profileOf('${qmp}'), { ...values, qmpPath: '/${name}' }).args).toEqual(['/${name}']);
  });
});
