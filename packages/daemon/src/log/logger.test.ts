import { HostPrecondition, Internal } from '@umem/errors';
import { expect, test } from 'vitest';
import { defineEvents } from './events.js';
import { createLogger, silentLogger, type LogLevel } from './logger.js';

const events = defineEvents({
  laneOpened: { level: 'info', message: 'Lane opened' },
  pagePlaced: { level: 'trace', message: 'Page placed' },
  laneLost: { level: 'error', message: 'Lane lost' },
});

function capture(level: LogLevel = 'info') {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  return { lines, log: createLogger({ service: 'umem-test', level, destination }) };
}

test('an event is one JSON line with its name, level, message and fields', () => {
  const { lines, log } = capture();
  log.event(events.laneOpened, { migrationId: 'mig-1', lanes: 3 });
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      service: 'umem-test',
      pid: process.pid,
      event: 'laneOpened',
      msg: 'Lane opened',
      migrationId: 'mig-1',
      lanes: 3,
    },
  ]);
});

test('events below the level go nowhere, and callers can know that', () => {
  const { lines, log } = capture();
  log.event(events.pagePlaced, { pgoff: 1 });
  expect(lines).toEqual([]);
  expect([log.isEnabled('trace'), log.isEnabled('info')]).toEqual([false, true]);
});

test('a child adds its fields to each line', () => {
  const { lines, log } = capture();
  log.child({ migrationId: 'mig-1' }).child({ lane: 2 }).event(events.laneOpened);
  expect(lines[0]).toMatchObject({ migrationId: 'mig-1', lane: 2 });
});

test('tokens and secrets do not appear, however deep and in children too', () => {
  const { lines, log } = capture();
  const token = 'c2VjcmV0';
  const target = {
    demandAddress: '127.0.0.1:1',
    token,
    nested: [{ 'umem-token': token, headers: { Authorization: token } }],
  };
  log
    .child({ laneToken: token })
    .event(events.laneOpened, { target, token, adminSecret: token, tlsPrivateKey: Buffer.from(token) });
  expect(JSON.stringify(lines)).not.toContain(token);
  expect(lines[0]).toMatchObject({
    token: '[redacted]',
    target: { demandAddress: '127.0.0.1:1', token: '[redacted]' },
  });
});

test('values that JSON does not know are logged all the same', () => {
  const { lines, log } = capture();
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  log.event(events.laneOpened, {
    bytes: 12n,
    huge: 2n ** 64n,
    page: Buffer.alloc(4096),
    cycle,
    nothing: undefined,
    none: null,
  });
  expect(lines[0]).toMatchObject({
    bytes: 12,
    huge: '18446744073709551616',
    page: '[4096 bytes]',
    none: null,
  });
});

test('an error of ours is logged with its reason and facts and without a stack', () => {
  const { lines, log } = capture();
  const error = new HostPrecondition('No userfaultfd', {
    cause: new Error('EPERM'),
    metadata: { sysctl: '0' },
  });
  log.event(events.laneLost, { error });
  expect(lines[0]?.['error']).toEqual({
    name: 'HostPrecondition',
    reason: 'HOST_PRECONDITION',
    message: 'No userfaultfd: EPERM',
    sysctl: '0',
  });
});

test('a bug is logged with its stack', () => {
  const { lines, log } = capture();
  log.event(events.laneLost, { error: new Internal('Broken') });
  log.event(events.laneLost, { error: new TypeError('x is undefined') });
  log.event(events.laneLost, { error: 'thrown text' });
  expect(lines.map(({ error }) => error)).toEqual([
    { name: 'Internal', message: 'Broken', stack: expect.stringContaining('logger.test') },
    { name: 'TypeError', message: 'x is undefined', stack: expect.stringContaining('logger.test') },
    'thrown text',
  ]);
});

test('the silent logger writes nothing', () => {
  silentLogger.child({ a: 1 }).event(events.laneLost);
  expect(silentLogger.isEnabled('fatal')).toBe(false);
});
