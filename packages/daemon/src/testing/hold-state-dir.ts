import { lockStateDir } from '../state/state-dir-lock.js';

// Locks the directory named on the command line until it is killed.
await lockStateDir(process.argv[2] ?? '');
process.stdout.write('locked\n');
setInterval(() => {}, 60_000);
