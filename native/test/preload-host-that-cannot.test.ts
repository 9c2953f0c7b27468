import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guest } from './kit/guest.js';
import { answerReady, closeAll, handoffEnvironment, HandoffServer } from './kit/handoff-server.js';
import { makeDirectory, nobody } from './kit/process.js';

const SIZE = 16 * 4096;
const directory = makeDirectory('/dev/shm');
chmodSync(directory.path, 0o777); // some guests run as another user
afterAll(() => directory.remove());

let server: HandoffServer;
let guest: Guest;
let count = 0;

beforeEach(() => {
  server = new HandoffServer(join(directory.path, `${count++}.sock`));
});
afterEach(async () => {
  await guest.stop();
  server.close();
});

/** A guest with two RAM files, on a host that lacks something. */
function start(lacks: readonly string[], identity = {}): void {
  const ram = `ram0=${directory.path}/${count}-0:ram1=${directory.path}/${count}-1`;
  guest = new Guest(handoffEnvironment(ram, server.path), identity, lacks);
}

async function expectPlain(why: RegExp): Promise<void> {
  for (const [i, how] of ['shared', 'populate'].entries()) {
    await guest.ask(`create ${directory.path}/${count}-${i} ${SIZE}`, 'file');
    await guest.ask(`map ${how} ${SIZE} 0`, 'mapped');
    guest.send(`read ${i} 3`);
    expect(await guest.answer('value')).toEqual(['0']);
  }
  const { stderr } = await guest.stop();
  expect(stderr).toMatch(/^umem-handoff: [^\n]*RAM is not handed over and stays plain memory; [^\n]*\n$/);
  expect(stderr).toMatch(why);
  expect(server.waiting).toBe(0);
}

describe('on a host that cannot, the handoff library leaves the VMM working and logs one line:', () => {
  it.each([
    [
      'without userfaultfd',
      ['no-userfaultfd', 'no-device'],
      /userfaultfd: Function not implemented;.*CONFIG_USERFAULTFD/,
    ],
    [
      'where a filter refuses it',
      ['forbid-userfaultfd', 'no-device'],
      /userfaultfd: Operation not permitted;.*seccomp/,
    ],
    ['without a feature', ['few-features'], /lacks a feature \(.*: Invalid argument\)/],
  ])('%s', async (_what, lacks, why) => {
    start(lacks);
    await expectPlain(why);
  });

  it.skipIf(process.getuid?.() !== 0)('without permission', async () => {
    start([], nobody);
    await expectPlain(/\/dev\/userfaultfd: Permission denied\).*vm\.unprivileged_userfaultfd=1/);
  });
});

it('ends the VMM where some of its RAM is handed over and the rest cannot be', async () => {
  start(['no-device']);
  await guest.ask(`create ${directory.path}/${count}-0 ${SIZE}`, 'file');
  guest.send(`map shared ${SIZE} 0`);
  const handoff = await server.next();
  answerReady(handoff);
  await guest.answer('mapped');
  closeAll(handoff.fds);
  await guest.ask('deny', 'denied');
  await guest.ask(`create ${directory.path}/${count}-1 ${SIZE}`, 'file');
  guest.send(`map shared ${SIZE} 0`);
  expect(await guest.exited).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no userfaultfd that sees all faults can be made'),
  });
});
