import { status as Status } from '@grpc/grpc-js';
import { check, checkSame, checkSameList, type Rule } from '../rule.js';
import { FROM_THE_FUTURE, UNSET } from '../wire/bad-messages.js';
import { Control } from './control.js';
import type { UmemdContext } from './umemd-context.js';

const CONTROL = 'umemd.proto, Umemd.Control';

async function checkEnds(control: Control, ...codes: readonly Status[]): Promise<void> {
  const { code, details } = await control.ended;
  check(
    codes.includes(code),
    `Control ended with ${Status[code]} "${details}", not ${codes.map((each) => Status[each]).join(' or ')}`,
  );
}

export const controlRules: readonly Rule<UmemdContext>[] = [
  {
    id: 'umemd/control/ready-twice',
    title: 'READY is told when every block is handed off, and once more when the set is armed',
    from: 'umemd.proto, UmemdCommand.ready',
    async run(context) {
      const set = await context.set();
      await set.armed();
      await set.touch('ram0', 1);
      checkSameList(
        'what was told',
        set.control.told.map(({ ready }) => ready?.state ?? 'no READY'),
        ['UMEM_STATE_HANDED_OFF', 'UMEM_STATE_ARMED'],
      );
    },
  },
  {
    id: 'umemd/control/attach-first',
    title: 'A stream whose first message is not ATTACH ends with INVALID_ARGUMENT',
    from: 'umemd.proto, VmmCommand.umem',
    async run(context) {
      const set = await context.set();
      await set.create();
      for (const first of [
        { umem: set.name, ready: {} },
        { umem: set.name, quit: {} },
        UNSET,
        FROM_THE_FUTURE,
      ]) {
        const control = new Control(context.client);
        control.send(first);
        await checkEnds(control, Status.INVALID_ARGUMENT);
      }
    },
  },
  {
    id: 'umemd/control/one',
    title: 'A second stream is refused with ALREADY_EXISTS; the first goes on',
    from: CONTROL,
    async run(context) {
      const set = await context.set();
      await set.park();
      const second = new Control(context.client);
      second.send({ umem: set.name, attach: {} });
      await checkEnds(second, Status.ALREADY_EXISTS);
      await set.arm();
    },
  },
  {
    id: 'umemd/control/attach-again',
    title: 'A second ATTACH ends the stream with INVALID_ARGUMENT',
    from: 'umemd.proto, VmmCommand.attach: first message',
    async run(context) {
      const set = await context.set();
      await set.armed();
      set.control.send({ umem: set.name, attach: {} });
      await checkEnds(set.control, Status.INVALID_ARGUMENT);
    },
  },
  {
    id: 'umemd/control/unset',
    title: 'A command that is unset or unknown ends the stream with INVALID_ARGUMENT; an armed set goes on',
    from: 'umemd.proto, VmmCommand: exactly one must be set',
    async run(context) {
      for (const command of [UNSET, FROM_THE_FUTURE]) {
        const set = await context.set();
        await set.armed();
        set.control.send(command);
        await checkEnds(set.control, Status.INVALID_ARGUMENT);
        await set.touch('ram0', 2);
      }
    },
  },
  {
    id: 'umemd/control/ready-too-early',
    title:
      'READY before every block is handed off, or before the lanes are connected, is refused with FAILED_PRECONDITION',
    from: 'umemd.proto, VmmCommand.ready; errors: the call does not fit the state',
    async run(context) {
      const unmapped = await context.set();
      await unmapped.create();
      await unmapped.connect();
      unmapped.attach().send({ ready: {} });
      await checkEnds(unmapped.control, Status.FAILED_PRECONDITION);

      const unconnected = await context.set();
      await unconnected.create();
      unconnected.attach();
      await unconnected.handOverAll();
      await unconnected.control.ready('UMEM_STATE_HANDED_OFF');
      unconnected.control.send({ ready: {} });
      await checkEnds(unconnected.control, Status.FAILED_PRECONDITION);
    },
  },
  {
    id: 'umemd/control/lost-before-armed',
    title: 'When the stream breaks before ARMED the set fails',
    from: CONTROL,
    async run(context) {
      const set = await context.set();
      await set.park();
      set.control.hangUp();
      const { error } = await set.until('UMEM_STATE_FAILED');
      check(error !== '', 'Umem.error does not say why');
    },
  },
  {
    id: 'umemd/control/lost-after-armed',
    title:
      'After ARMED it waits for the VMM side to come back: the guest is served, and a new stream is told the state',
    from: CONTROL,
    async run(context) {
      const set = await context.set();
      const { background } = await set.armed();
      set.control.hangUp();
      await set.control.ended;
      await set.touch('ram0', 3);
      const again = set.attach();
      await again.ready('UMEM_STATE_ARMED');
      if (background[0] !== undefined) await set.push(background[0]);
      await set.release();
      await set.checkMemory();
    },
  },
  {
    id: 'umemd/control/quit-while-missing',
    title: 'QUIT from the VMM side while pages are missing ends the set: it is going away',
    from: 'umemd.proto, VmmCommand.quit',
    async run(context) {
      const set = await context.set();
      await set.armed();
      set.control.send({ quit: {} });
      await set.until('UMEM_STATE_FAILED');
    },
  },
  {
    id: 'umemd/control/hopeless',
    title:
      'When the source says that it has no such migration any more, ERROR tells how many pages are missing',
    from: 'umemd.proto, UmemdCommand.error',
    timeoutMs: 120_000,
    async run(context) {
      const set = await context.set();
      await set.armed();
      await set.touch('ram0', 3);
      set.source.verdict = () => ({ code: Status.NOT_FOUND, details: 'Unknown migration' });
      for (const lane of set.source.lanes) lane.fail(Status.NOT_FOUND, 'Unknown migration');
      const { error } = await set.control.hear('ERROR', ({ command }) => command === 'error');
      checkSame('missing_pages', error?.missing_pages ?? '', String(512 + 253 - 1));
      check(error?.message !== '', 'ERROR does not say what failed');
      await set.until('UMEM_STATE_FAILED');
      // The guest waits; it must not read zeros.
      const read = set.vmm.read('ram0', 4);
      read.catch(() => undefined);
      await set.vmm.untilWaiting(1);
    },
  },
];
