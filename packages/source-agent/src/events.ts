import { defineEvents } from '@umem/daemon';

/** Everything the source-agent logs, by name. */
export const events = defineEvents({
  vmRegistered: { level: 'info', message: 'VM registered' },
  vmUnregistered: { level: 'info', message: 'VM unregistered' },
  vmAttached: { level: 'info', message: 'Registered VM answers' },
  vmNotAnswering: { level: 'warn', message: 'Registered VM does not answer' },

  laneOpened: { level: 'info', message: 'Lane opened' },
  laneEnded: { level: 'info', message: 'Lane ended' },
  laneFailed: { level: 'warn', message: 'Lane ended with an error' },
  endOfConnection: { level: 'info', message: 'Page server needs no more pages' },

  releaseFailed: {
    level: 'warn',
    message: 'Confirmed pages could not be freed; they stay until the end of the migration',
  },

  inheritedServed: { level: 'info', message: 'Lanes are served over inherited connections' },
  inheritedEnded: { level: 'info', message: 'Inherited connection has ended, for good' },
  workersListening: { level: 'info', message: 'Background workers listen' },
  workerDied: { level: 'error', message: 'A background worker ended unexpectedly' },
  workerRestarted: { level: 'info', message: 'Background worker started anew' },
  workerNotRestarted: { level: 'error', message: 'Background worker could not be started anew' },
  workerReportFailed: { level: 'error', message: 'A report of a background worker could not be dealt with' },

  migrationState: { level: 'info', message: 'Migration state changed' },
  migrationActivity: { level: 'debug', message: 'Migration goes on' },
  migrationCompleted: { level: 'info', message: 'Migration completed' },
  migrationFailed: { level: 'error', message: 'Migration failed' },
  migrationAborting: { level: 'warn', message: 'Migration is being undone' },
  cleanUpFailed: { level: 'warn', message: 'A step of cleaning up failed' },
  destinationWatchLost: { level: 'warn', message: 'Destination does not report; asking again' },
  journalFailed: { level: 'error', message: 'The state of a migration could not be written' },
  unfinishedFound: { level: 'warn', message: 'Found a migration that an earlier process left unfinished' },
  waitingForGuests: { level: 'warn', message: 'Stopping while guests still need pages from here' },
});
