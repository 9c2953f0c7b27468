import { defineEvents } from '@umem/daemon';

/** What the destination-agent logs. */
export const events = defineEvents({
  agentReady: { level: 'info', message: 'Ready for incoming VMs' },
  incomingPrepared: { level: 'info', message: 'Incoming VM prepared' },
  incomingMoved: { level: 'info', message: 'Incoming VM changed state' },
  incomingFailed: { level: 'warn', message: 'Incoming VM failed; its guest lost nothing' },
  incomingCleanedUp: { level: 'info', message: 'Incoming VM cleaned up' },
  incomingForgotten: { level: 'info', message: 'Incoming VM forgotten' },
  guestLost: { level: 'error', message: 'Guest lost after it was resumed here' },
  guestNotStopped: { level: 'error', message: 'Guest could not be stopped; it waits for missing pages' },
  cleanUpStepFailed: { level: 'warn', message: 'A clean-up step failed; the others go on' },
  touchFailed: {
    level: 'warn',
    message: 'Pages could not be touched in the VMM; they are there, and cost it a fault',
  },
  vmmLaunched: { level: 'info', message: 'VMM launched' },
  vmmExited: { level: 'info', message: 'VMM exited' },
  vmmKilled: { level: 'warn', message: 'VMM did not quit and was killed' },
  vmmLeft: { level: 'warn', message: 'VMM was launched by somebody else and did not quit' },
  vmmConnectionLost: { level: 'warn', message: 'QMP connection lost while the VMM lives' },
  vmmIdUnknown: {
    level: 'warn',
    message: 'Process id of the VMM is unknown; its RAM files stay until removed by hand',
  },
  pageServerLost: { level: 'warn', message: 'Page server lost; faults wait until it is back' },
  statisticsLost: { level: 'warn', message: 'Last statistics of a completed VM are lost' },
  pageServerBack: { level: 'info', message: 'Page server is back' },
  ramNotMarked: {
    level: 'warn',
    message: 'RAM files could not be marked as complete; processes that map them from now on will fail',
  },
  ramGuardFailed: {
    level: 'warn',
    message: 'Processes that map the RAM files could not be looked for; it is tried again',
  },
  ramReleased: { level: 'info', message: 'RAM files removed after the end of their VMM' },
});
