// Builds everything native: the addon, the preload library and the programs that tests start.
// Incremental: what is newer than its sources is left alone.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { run } from './run.mjs';

const root = resolve(import.meta.dirname, '..');
const build = join(root, 'build');
const cc = process.env.CC ?? 'cc';

buildAddon();
buildPreloadLibrary(join(build, 'libumem-handoff.so'));
buildPreloadLibrary(join(build, 'test/libumem-handoff-impatient.so'), '-DUMEM_TIMEOUT_MS=200');
buildProbe(join(build, 'umem-handoff-probe'));
buildTestPrograms();

function buildAddon() {
  const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const nodedir = headerDirectory();
  const options = [...(nodedir ? [`--nodedir=${nodedir}`] : []), '--loglevel=warn'];
  // Makefiles hold for one place, one node and one set of headers.
  const circumstances = JSON.stringify({ root, node: process.version, nodedir });
  const stamp = join(build, 'configured.json');
  const configured =
    isNewer(stamp, [join(root, 'binding.gyp')]) && readFileSync(stamp, 'utf8') === circumstances;
  if (!configured) {
    run(process.execPath, [gyp, 'configure', ...options], root);
    writeFileSync(stamp, circumstances);
  }
  run(process.execPath, [gyp, 'build', ...options], root);
}

/** Where node's own headers are; without them node-gyp would want to download some. */
function headerDirectory() {
  const candidates = [
    process.env.npm_config_nodedir,
    process.env.NODE_DIR,
    resolve(dirname(process.execPath), '..'),
    '/usr',
    '/usr/local',
  ];
  return candidates.find((each) => each && existsSync(join(each, 'include/node/node_api.h')));
}

function buildPreloadLibrary(output, ...defines) {
  const folder = join(root, 'preload');
  const sources = filesOf(folder, '.c');
  if (isNewer(output, [...sources, ...filesOf(folder, '.h')])) return;
  mkdirSync(dirname(output), { recursive: true });
  const flags = ['-std=gnu11', '-O2', '-g', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror'];
  run(cc, [...flags, ...defines, '-shared', '-Wl,-z,defs', '-Wl,-z,now', '-o', output, ...sources], root);
}

function buildProbe(output) {
  const preload = join(root, 'preload');
  const sources = [join(root, 'probe/main.c'), join(preload, 'uffd.c'), join(preload, 'report.c')];
  if (isNewer(output, [...sources, ...filesOf(preload, '.h')])) return;
  run(cc, ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', output, ...sources], root);
}

function buildTestPrograms() {
  const output = join(build, 'test');
  mkdirSync(output, { recursive: true });
  for (const source of filesOf(join(root, 'test/programs'), '.c')) {
    const program = join(output, source.slice(source.lastIndexOf('/') + 1, -2));
    if (isNewer(program, [source])) continue;
    run(
      cc,
      ['-std=gnu11', '-O1', '-g', '-pthread', '-Wall', '-Wextra', '-Werror', '-o', program, source],
      root,
    );
  }
}

function filesOf(folder, suffix) {
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name))
    .sort();
}

function isNewer(output, sources) {
  if (!existsSync(output)) return false;
  const made = statSync(output).mtimeMs;
  return sources.every((source) => statSync(source).mtimeMs < made);
}
