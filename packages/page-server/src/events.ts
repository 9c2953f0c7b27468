import { defineEvents } from '@umem/daemon';

/** What the page server logs. Single pages never. */
export const events = defineEvents({
  userfaultfdUnavailable: {
    level: 'warn',
    message: 'userfaultfd cannot be used on this host: umems will be refused until that is fixed',
  },
  umemCreated: { level: 'info', message: 'Umem set created' },
  umemDeleted: { level: 'info', message: 'Umem set deleted' },
  stateChanged: { level: 'info', message: 'Umem state changed' },
  umemFailed: { level: 'error', message: 'Umem set failed' },

  handoffAccepted: { level: 'info', message: 'VMM handed memory over' },
  handoffRefused: { level: 'warn', message: 'Handoff refused' },
  handoffListenerFailed: { level: 'error', message: 'The handoff socket failed' },

  mappingDiscardedEarly: {
    level: 'debug',
    message: 'VMM discarded pages before it was armed: they are not counted as given up by the guest',
  },
  mappingRemoved: {
    level: 'warn',
    message: 'VMM unmapped guest RAM: pages that no process maps any more count as given up',
  },
  mappingMoved: { level: 'info', message: 'VMM moved guest RAM in its address space: followed' },
  forkFollowed: { level: 'info', message: 'VMM forked: the child shares its RAM and is served too' },
  forkIgnored: {
    level: 'warn',
    message: 'VMM forked: the child has its own copy of the RAM, in which missing pages are zeros',
  },
  lanesPaused: {
    level: 'warn',
    message: "VMM's memory is changing and takes no pages: lanes are left unread",
  },
  lanesResumed: { level: 'info', message: 'Lanes are read again' },
  faultReadingPaused: { level: 'warn', message: 'Too many requests wait: guest faults are left unread' },
  faultReadingResumed: { level: 'info', message: 'Guest faults are read again' },

  lanesConnected: { level: 'info', message: 'All lanes to the source are accepted' },
  laneLost: { level: 'warn', message: 'Lane to the source lost' },
  badBatch: { level: 'error', message: 'The source sent a bad batch: none of its pages was placed' },
  reconnectFailed: { level: 'warn', message: 'Lanes could not be connected again; trying on' },
  missingAfterEos: { level: 'warn', message: 'Pages are missing after end of stream: asking for them' },

  laneNotClosed: { level: 'warn', message: 'A lane did not end cleanly after end of connection' },
  controlAttached: { level: 'info', message: 'VMM side attached' },
  controlLost: { level: 'warn', message: 'VMM side gone' },
  quitUnanswered: { level: 'warn', message: 'VMM side did not answer QUIT: letting go all the same' },
});
