import { capture, run } from './run.mjs';
import { SetupError, say } from './report.mjs';

/** What each package is for; `only` names the command that alone needs it. */
const PACKAGES = [
  { name: 'g++', why: 'builds the native addon, the handoff library and the test guest' },
  { name: 'make', why: 'builds the native addon' },
  { name: 'python3', why: 'runs node-gyp, and touches memory in the demo without background' },
  { name: 'ca-certificates', why: 'lets npm reach its registry' },
  { name: 'qemu-system-x86', why: 'runs the guest that moves' },
  { name: 'busybox-static', why: 'userland of the test guest' },
  { name: 'cpio', why: 'packs the test guest' },
  { name: 'clang-format', why: 'checks the format of C and C++', only: 'test' },
  { name: 'systemd', why: 'checks the unit files (systemd-analyze verify)', only: 'test' },
];

const UNATTENDED = { DEBIAN_FRONTEND: 'noninteractive' };

/** Installs missing packages; answers what it did, or null. */
export async function installDebianPackages(next) {
  const needed = PACKAGES.filter(({ only }) => only === undefined || only === next);
  const installed = await listInstalled(needed.map(({ name }) => name));
  const missing = needed.filter(({ name }) => !installed.has(name));
  if (missing.length === 0) return null;

  const names = missing.map(({ name }) => name);
  if (process.getuid() !== 0) {
    throw new SetupError(
      `These Debian packages are missing; installing them needs root:\n\n` +
        `${describe(missing)}\n\nRun this, then the same command again:\n\n` +
        `  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names.join(' ')}\n`,
    );
  }
  say(`Installing ${names.length} Debian packages:\n${describe(missing)}`);
  await run('apt-get', ['update'], { env: UNATTENDED });
  await run('apt-get', ['install', '-y', '--no-install-recommends', ...names], { env: UNATTENDED });
  return `${names.length} Debian packages`;
}

async function listInstalled(names) {
  // Fails when one of them is unknown to dpkg, but still lists the others: so the exit code is no news.
  const query = ['-c', 'dpkg-query -W -f \'${Package} ${db:Status-Status}\\n\' "$@" 2>/dev/null; true', 'sh'];
  const output = await capture('sh', [...query, ...names]);
  if (output === null) throw new SetupError('This set-up needs Debian 12 or newer: dpkg-query does not run.');
  return new Set(
    output
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
}

function describe(packages) {
  const width = Math.max(...packages.map(({ name }) => name.length));
  return packages.map(({ name, why }) => `  ${name.padEnd(width)}  ${why}`).join('\n');
}
