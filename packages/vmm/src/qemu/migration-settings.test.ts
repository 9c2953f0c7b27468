import { describe, expect, it } from 'vitest';
import { HostPrecondition } from '@umem/errors';
import { planCapabilities } from './migration-settings.js';

const off = (capability: string) => ({ capability, state: false });
const on = (capability: string) => ({ capability, state: true });

describe('migration capabilities', () => {
  it('leave out shared RAM and ask for events', () => {
    expect(planCapabilities([off('events'), off('x-ignore-shared'), off('multifd')], 'QEMU 7.2.22')).toEqual([
      on('events'),
      on('x-ignore-shared'),
    ]);
  });

  it('are found under the name without x-, too, which is preferred', () => {
    const plan = planCapabilities(
      [on('events'), off('x-ignore-shared'), off('ignore-shared')],
      'QEMU 99.0.0',
    );
    expect(plan).toEqual([on('ignore-shared')]);
  });

  it('that would change the stream are off meanwhile; what is right already stays', () => {
    const plan = planCapabilities(
      [on('events'), on('x-ignore-shared'), on('multifd'), on('validate-uuid')],
      'QEMU',
    );
    expect(plan).toEqual([off('multifd')]);
  });

  it('without any that leaves out shared RAM are refused with the version', () => {
    expect(() => planCapabilities([off('events')], 'QEMU 3.1.0')).toThrow(HostPrecondition);
    expect(() => planCapabilities([off('events')], 'QEMU 3.1.0')).toThrow(
      /QEMU 3\.1\.0 has no .* x-ignore-shared/,
    );
  });
});
