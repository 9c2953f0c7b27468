import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CLANGS = ['clang', ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `clang-${version}`)];
const PROBE = 'int LLVMFuzzerTestOneInput(const char* d, unsigned long n) { return d && n ? 0 : 0; }';

/** The first clang that links libFuzzer (CLANG names another), or null. */
export function findClang() {
  const folder = mkdtempSync(join(tmpdir(), 'umem-fuzz-'));
  try {
    const args = ['-x', 'c', '-fsanitize=fuzzer,address,undefined', '-o', join(folder, 'probe'), '-'];
    const names = process.env.CLANG ? [process.env.CLANG] : CLANGS;
    return names.find((name) => spawnSync(name, args, { input: PROBE }).status === 0) ?? null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Compilers and flags of an engine: `libfuzzer` with that clang, or `driver` with the project's compiler. */
export function createToolchain(engine, clang) {
  const isDriver = engine === 'driver';
  const cc = isDriver ? (process.env.CC ?? 'cc') : clang;
  const cxx = isDriver ? (process.env.CXX ?? 'c++') : clang.replace(/clang(-\d+)?$/, 'clang++$1');
  const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  return {
    engine,
    compilerOf: (source) => (source.endsWith('.c') ? cc : cxx),
    linker: cxx,
    common: ['-g', '-fno-omit-frame-pointer', '-pthread', '-Wall', '-Wextra', '-Werror'],
    sanitizers,
    coverage: isDriver ? ['-fsanitize-coverage=trace-pc'] : ['-fsanitize=fuzzer-no-link'],
    link: ['-pthread', ...sanitizers, ...(isDriver ? [] : ['-fsanitize=fuzzer'])],
  };
}

export function languageOf(source) {
  return source.endsWith('.c') ? ['-std=gnu11'] : ['-std=c++17', '-fno-exceptions', '-D_GNU_SOURCE'];
}
