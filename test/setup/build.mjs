import { join } from 'node:path';
import { ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { say } from './report.mjs';

/** A build from Nx's cache takes about a second; longer than this means it really builds. */
const NEWS_AFTER_MS = 3000;

/** Builds everything through Nx's cache; answers what it did, or null. */
export async function buildAll() {
  let news = null;
  const timer = setTimeout(() => {
    say('Building (the first time takes about a minute).');
    news = 'build';
  }, NEWS_AFTER_MS);
  try {
    await run(process.execPath, [join(ROOT, 'node_modules/.bin/nx'), 'run-many', '-t', 'build'], {
      env: { NX_TUI: 'false', NX_DAEMON: 'false', NX_NO_CLOUD: 'true', FORCE_COLOR: '0' },
    });
  } finally {
    clearTimeout(timer);
  }
  return news;
}
