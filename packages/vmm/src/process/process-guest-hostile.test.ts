import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buffer } from 'node:stream/consumers';
import { connectQemu } from '../qemu/connect-qemu.js';
import { MiB } from '../testing/qemu.js';
import { buildSanitizedGuest } from '../testing/sanitized-guest.js';
import { Scratch } from '../testing/scratch.js';
import { startProcessGuest, type ProcessGuest } from './process-guest.js';

const build = new Scratch();
const scratch = new Scratch();
const programs = new Map<string, string>();

beforeAll(async () => {
  const directory = await build.directory();
  for (const sanitizers of ['address,undefined', 'thread']) {
    const program = `${directory}/guest-${sanitizers}`;
    await buildSanitizedGuest(program, sanitizers);
    programs.set(sanitizers, program);
  }
}, 120_000);
afterEach(() => scratch.clean());
afterAll(() => build.clean());

async function start(sanitizers = 'address,undefined'): Promise<ProcessGuest> {
  const program = programs.get(sanitizers);
  if (program === undefined) throw new Error(`not built with ${sanitizers}`);
  const dir = await scratch.directory();
  const guest = await startProcessGuest({
    ...{ name: 'guest', dir, program, blocks: [{ id: 'ram0', sizeBytes: MiB }] },
    workload: { threads: 4, writePercent: 50 },
  });
  scratch.defer(() => guest.kill());
  return guest;
}

/** Sends bytes to the guest's QMP socket and answers with all that it says until it or we hang up. */
async function exchange(guest: ProcessGuest, input: string | Buffer): Promise<string> {
  const socket = connect({ path: guest.qmpPath, allowHalfOpen: true });
  scratch.defer(() => socket.destroy());
  await once(socket, 'connect');
  // The guest may hang up while we still write; what it said is what we look at.
  socket.on('error', () => undefined);
  const answer = readAll(socket);
  socket.end(input);
  return answer;
}

async function readAll(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
  return text;
}

const HELLO = '{"execute":"qmp_capabilities","id":0}\n';

describe('the process guest against a hostile QMP client, under sanitizers', () => {
  it('refuses what is not a command and serves the next client', async () => {
    const guest = await start();
    const bad = [
      '[]',
      '7',
      '"x"',
      '{}',
      '{"execute":7}',
      '{"execute":"nonsense"}',
      '{"execute":"qom-get","arguments":[]}',
      '{"execute":"qom-get","arguments":{"path":"/objects/nope","property":"type"}}',
      '{"execute":"qom-list","arguments":{"path":7}}',
      '{"execute":"migrate","arguments":{"uri":"tcp:1.2.3.4:5"}}',
      `{"execute":"migrate","arguments":{"uri":"unix:${'x'.repeat(200)}"}}`,
      '{"execute":"migrate-incoming","arguments":{"uri":"unix:/tmp/x"}}',
      '{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"zzz","state":true}]}}',
      '{"execute":"migrate-set-capabilities","arguments":{"capabilities":[7]}}',
      '{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":-1}}',
      '{"execute":"stop"',
      '{"execute":"a\\u0000b"}',
      '{"execute":"\\ud800"}',
      '{"execute":"\\q"}',
      '{"execute":"x","id":1e999}',
      '{"execute":"x","id":99999999999999999999}',
      '{"a":1,}',
      'nul',
      '-',
      `${'['.repeat(100)}${']'.repeat(100)}`,
      `[${'1,'.repeat(5000)}1]`,
    ];
    const answer = await exchange(guest, HELLO + bad.map((line) => `${line}\n`).join(''));
    const lines = answer.trim().split('\r\n');
    expect(lines).toHaveLength(2 + bad.length);
    for (const line of lines.slice(2)) expect(JSON.parse(line)).toHaveProperty('error.class');
    await (await connectQemu(guest.qmpPath)).describe();
    expect(guest.stderr).toBe('');
  });

  it('echoes any id, whatever it holds', async () => {
    const guest = await start();
    const id = { a: [1, -2.5, 'é"\\\n', null, true, { b: {} }] };
    const answer = await exchange(guest, `${HELLO}${JSON.stringify({ execute: 'query-status', id })}\n`);
    expect(JSON.parse(answer.trim().split('\r\n').at(-1) ?? '')).toMatchObject({
      id,
      return: { running: true },
    });
  });

  it('demands the handshake first', async () => {
    const guest = await start();
    expect(await exchange(guest, '{"execute":"query-status"}\n')).toContain('CommandNotFound');
  });

  it('drops a client whose line never ends, and garbage does it no harm', async () => {
    const guest = await start();
    expect(await exchange(guest, 'x'.repeat(200_000))).toContain('longer than 64 KiB');
    const noise = Buffer.alloc(60_000);
    for (let i = 0, state = 1; i < noise.length; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      noise[i] = state >>> 16;
    }
    await exchange(guest, noise);
    const words = ['{', '}', '[', ']', '"', ':', ',', '\\', 'true', '1e5', '"execute"', '\n', '\\u12'];
    let text = '';
    for (let i = 0; i < noise.length; i += 2) text += words[(noise[i] ?? 0) % words.length] ?? '';
    await exchange(guest, text);
    expect((await guest.verifyAll()).mismatches).toBe(0);
    expect(guest.stderr).toBe('');
  });

  it('does not mind clients that leave in the middle of anything', async () => {
    const guest = await start();
    for (const command of ['stop', 'x-verify-all', 'query-cpus-fast', 'cont']) {
      const socket = connect({ path: guest.qmpPath });
      scratch.defer(() => socket.destroy());
      await once(socket, 'data');
      await new Promise<void>((resolve) =>
        socket.write(`${HELLO}{"execute":"${command}"}\n`, () => resolve()),
      );
      socket.destroy();
    }
    const vmm = await connectQemu(guest.qmpPath);
    await vmm.resume();
    await guest.waitForTick();
    expect((await guest.verifyAll()).mismatches).toBe(0);
  });

  it.each(['address,undefined', 'thread'])('works, stops, saves and runs on under %s', async (sanitizers) => {
    const guest = await start(sanitizers);
    const vmm = await connectQemu(guest.qmpPath);
    await guest.waitForTick();
    for (let round = 0; round < 3; round++) {
      await vmm.prepareSave();
      await vmm.stop();
      await guest.verifyAll();
      await buffer(await vmm.saveDeviceState(await scratch.path('out')));
      await vmm.cancelSave();
      await guest.touchAll();
    }
    await guest.waitForTick();
    await vmm.quit();
    expect(await guest.exited).toEqual({ code: 0, signal: null });
    expect(guest.stderr).toBe('');
  });
});
