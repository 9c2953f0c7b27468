import { once } from 'node:events';
import { access, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import {
  Client,
  credentials,
  logVerbosity,
  makeGenericClientConstructor,
  Metadata,
  setLogVerbosity,
  status,
} from '@grpc/grpc-js';
import { call, parseAddress, UmemdClient } from '@umem/api';
import { HostPrecondition, NotFound } from '@umem/errors';
import { service as healthService } from 'grpc-health-check';
import { expect, onTestFinished, test } from 'vitest';
import { ConfigError, type Settings } from './config/config.js';
import { createLogger, silentLogger } from './log/logger.js';
import { startDaemon, type StartedDaemon } from './start-daemon.js';
import { exampleDaemon, type exampleOptions } from './testing/example-service.js';
import { temporaryDir } from './testing/temporary-dir.js';

// What grpc-js would write to stderr about addresses that are taken.
setLogVerbosity(logVerbosity.NONE);

interface Fixture {
  readonly daemon: StartedDaemon;
  readonly stateDir: string;
  readonly lines: Record<string, unknown>[];
}

async function start(settings: Partial<Settings<typeof exampleOptions>> = {}): Promise<Fixture> {
  const stateDir = join(await temporaryDir(), 's');
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  const log = createLogger({ service: 'umem-example', level: 'info', destination });
  const daemon = await startDaemon(exampleDaemon, { stateDir, ...settings }, { log });
  onTestFinished(() => daemon.stop());
  return { daemon, stateDir, lines };
}

function client(address: string): UmemdClient {
  const made = new UmemdClient(address, credentials.createInsecure());
  onTestFinished(() => made.close());
  return made;
}

/** The health a service has, or null when the server does not know it. */
function health(address: string, service: string): Promise<string | null> {
  const HealthClient = makeGenericClientConstructor(healthService, 'Health');
  const made = new HealthClient(address, credentials.createInsecure());
  const check = made['Check'] as (
    request: { service: string },
    callback: (error: { code: status } | null, response?: { status: string }) => void,
  ) => void;
  return new Promise((resolve, reject) =>
    check.call(made, { service }, (error, response) => {
      made.close();
      if (!error) resolve(response?.status ?? '');
      else if (error.code === status.NOT_FOUND) resolve(null);
      else reject(new Error(`Health failed with status ${error.code}`));
    }),
  );
}

test('a daemon serves its calls, tells where it is bound, and lets go of everything', async () => {
  const { daemon, stateDir, lines } = await start({ listen: '127.0.0.1:0' });
  expect(daemon.address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
  expect(await readFile(join(stateDir, 'address'), 'utf8')).toBe(`${daemon.address}\n`);
  const umemd = client(daemon.address);
  expect(await call(umemd, umemd.listUmems, {}, { peer: 'example' })).toEqual({ umems: [] });
  await daemon.stop();
  expect((await readdir(stateDir)).filter((file) => !file.startsWith('lock.'))).toEqual([]);
  expect(lines.map(({ event }) => event)).toEqual(['told', 'listening', 'stopping', 'stopped']);
  expect(lines[0]).toMatchObject({ address: parseAddress(daemon.address) });
  expect(lines[1]).toMatchObject({ address: daemon.address, metricsAddress: null });
});

test('what a handler throws arrives as its class', async () => {
  const umemd = client((await start()).daemon.address);
  await expect(call(umemd, umemd.getUmem, { name: 'vm9' }, { peer: 'example' })).rejects.toThrow(NotFound);
});

test("a Unix socket is the owner's alone and goes with the daemon", async () => {
  const path = join(await temporaryDir(), 'd.sock');
  const { daemon } = await start({ listen: `unix:${path}` });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const umemd = client(daemon.address);
  expect(await call(umemd, umemd.listUmems, {}, { peer: 'example' })).toEqual({ umems: [] });
  await daemon.stop();
  await expect(access(path)).rejects.toThrow('ENOENT');
});

test('health knows the server and its services', async () => {
  const { daemon } = await start();
  expect(await health(daemon.address, '')).toBe('SERVING');
  expect(await health(daemon.address, 'umem.v1.Umemd')).toBe('SERVING');
  expect(await health(daemon.address, 'umem.v1.VmService')).toBeNull();
});

test('reflection lists the services that are served', async () => {
  const { daemon } = await start();
  const raw = new Client(daemon.address, credentials.createInsecure());
  onTestFinished(() => raw.close());
  const bytes = (value: Buffer): Buffer => value;
  const stream = raw.makeBidiStreamRequest(
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    bytes,
    bytes,
    new Metadata(),
  );
  stream.write(Buffer.from([0x3a, 1, 0x2a])); // list_services: "*"
  const [answer] = (await once(stream, 'data')) as [Buffer];
  stream.end();
  expect(answer.toString('latin1')).toContain('umem.v1.Umemd');
  expect(answer.toString('latin1')).not.toContain('umem.v1.VmService');
});

test('metrics tell of the process, of each call, and of the service', async () => {
  const { daemon } = await start({ metricsListen: '127.0.0.1:0' });
  const umemd = client(daemon.address);
  await call(umemd, umemd.listUmems, {}, { peer: 'example' });
  await call(umemd, umemd.getUmem, { name: 'x' }, { peer: 'example' }).catch(() => null);
  const watch = umemd.watchUmem({ name: 'x', intervalMs: 50 });
  const gone = once(watch, 'error');
  await once(watch, 'data');
  const url = `http://${daemon.metricsAddress ?? ''}/metrics`;
  const scrape = async (): Promise<string> => (await fetch(url)).text();
  await expect
    .poll(scrape, { timeout: 10_000 })
    .toContain('umem_grpc_server_calls_in_flight{method="umem.v1.Umemd/WatchUmem"} 1');
  watch.cancel();
  await gone;
  await expect
    .poll(scrape, { timeout: 10_000 })
    .toContain('umem_grpc_server_call_seconds_count{method="umem.v1.Umemd/WatchUmem",code="CANCELLED"} 1');
  const text = await scrape();
  expect(text).toContain('umem_grpc_server_call_seconds_count{method="umem.v1.Umemd/ListUmems",code="OK"} 1');
  expect(text).toContain(
    'umem_grpc_server_call_seconds_count{method="umem.v1.Umemd/GetUmem",code="NOT_FOUND"} 1',
  );
  expect(text).toContain('umem_grpc_server_calls_in_flight{method="umem.v1.Umemd/WatchUmem"} 0');
  expect(text).toContain('umem_example_gets_total 1');
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
  expect((await fetch(url.replace('/metrics', '/etc/passwd'))).status).toBe(404);
  expect((await fetch(url, { method: 'POST' })).status).toBe(405);
  await daemon.stop();
  await expect(fetch(url)).rejects.toThrow();
});

test('a call to a method that the service lacks is UNIMPLEMENTED', async () => {
  const umemd = client((await start()).daemon.address);
  await expect(
    call(umemd, umemd.deleteUmem, { name: 'x', guestNeverRan: true }, { peer: 'example' }),
  ).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
  });
});

test('bytes that are no HTTP/2 do not disturb others', async () => {
  const { daemon } = await start();
  const { port, host } = parseAddress(daemon.address) as { port: number; host: string };
  const socket = connect(port, host);
  socket.on('error', () => {}); // Being thrown out is what it may expect.
  socket.resume();
  socket.end(Buffer.alloc(65536, 'GET / HTTP/1.1\r\n\r\n'));
  await once(socket, 'close');
  expect(await health(daemon.address, '')).toBe('SERVING');
});

test('a second daemon on the same state directory is refused and the first one goes on', async () => {
  const { daemon, stateDir } = await start();
  await expect(startDaemon(exampleDaemon, { stateDir, logLevel: 'silent' })).rejects.toThrow(
    /is in use by another process/,
  );
  expect(await readFile(join(stateDir, 'address'), 'utf8')).toBe(`${daemon.address}\n`);
  expect(await health(daemon.address, '')).toBe('SERVING');
});

test('an address that is taken is a failed precondition, and the state directory is free again', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const stateDir = join(await temporaryDir(), 's');
  const settings = { stateDir, logLevel: 'silent' };
  const attempt = startDaemon(exampleDaemon, { ...settings, listen: `127.0.0.1:${port}` });
  await expect(attempt).rejects.toThrow(HostPrecondition);
  await expect(attempt).rejects.toThrow(/EADDRINUSE/);
  const metrics = startDaemon(exampleDaemon, { ...settings, metricsListen: `127.0.0.1:${port}` });
  await expect(metrics).rejects.toThrow(/Cannot serve metrics on 127\.0\.0\.1:\d+: .*EADDRINUSE/);
  await (await startDaemon(exampleDaemon, settings)).stop();
});

test('an address file of a killed process is gone before the service starts', async () => {
  const stateDir = join(await temporaryDir(), 's');
  await mkdir(stateDir, { mode: 0o700 });
  await writeFile(join(stateDir, 'address'), '127.0.0.1:1\n');
  await expect(
    startDaemon(exampleDaemon, { stateDir, logLevel: 'silent', fail: 'precondition' }),
  ).rejects.toThrow('userfaultfd');
  await expect(access(join(stateDir, 'address'))).rejects.toThrow('ENOENT');
});

test('a network address is refused before anything is made, and served with a warning when asked for', async () => {
  const stateDir = join(await temporaryDir(), 's');
  await expect(startDaemon(exampleDaemon, { stateDir, listen: '0.0.0.0:0' })).rejects.toThrow(ConfigError);
  await expect(access(stateDir)).rejects.toThrow('ENOENT');
  const { lines } = await start({ listen: '0.0.0.0:0', insecureNetwork: true });
  expect(lines[0]).toMatchObject({ event: 'insecureNetwork', level: 'warn', address: '0.0.0.0:0' });
});

test('a stop tells health first, lets the service end its work, and answers calls until then', async () => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const busyDaemon = {
    ...exampleDaemon,
    start: async (context: Parameters<typeof exampleDaemon.start>[0]) => ({
      ...(await exampleDaemon.start(context)),
      stop: () => released,
    }),
  };
  const settings = { stateDir: join(await temporaryDir(), 's'), shutdownGrace: '1min' };
  const daemon = await startDaemon(busyDaemon, settings, { log: silentLogger });
  const umemd = client(daemon.address);
  const stopped = daemon.stop();
  expect(await health(daemon.address, '')).toBe('NOT_SERVING');
  expect(await call(umemd, umemd.listUmems, {}, { peer: 'example' })).toEqual({ umems: [] });
  release();
  await stopped;
  await expect(call(umemd, umemd.listUmems, {}, { peer: 'example' })).rejects.toMatchObject({
    code: status.UNAVAILABLE,
  });
});

test('an open stream may end within the grace and is broken off after it', async () => {
  const { daemon, lines } = await start({ shutdownGrace: '100ms' });
  const watch = client(daemon.address).watchUmem({ name: 'x', intervalMs: 50 });
  const broken = once(watch, 'error');
  await once(watch, 'data');
  await daemon.stop();
  expect((await broken)[0]).toMatchObject({ code: status.CANCELLED });
  expect(lines.map(({ event }) => event)).toContain('graceOver');
});

test('a service that hangs when it is stopped does not hold the daemon past the grace', async () => {
  const { daemon, stateDir, lines } = await start({ stopTakes: '1h', shutdownGrace: '50ms' });
  await daemon.stop();
  expect(lines.at(-1)).toMatchObject({ event: 'stopped' });
  await (await startDaemon(exampleDaemon, { stateDir, logLevel: 'silent' })).stop();
});

test('stop may be called again', async () => {
  const { daemon, lines } = await start();
  await Promise.all([daemon.stop(), daemon.stop()]);
  await daemon.stop();
  expect(lines.filter(({ event }) => event === 'stopped')).toHaveLength(1);
});
