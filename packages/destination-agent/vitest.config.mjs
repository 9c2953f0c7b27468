import { defineConfig } from 'vitest/config';

// Tests start page servers and guests on a machine that may be busy: limits are for hangs, not for speed.
export default defineConfig({
  test: { include: ['src/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
});
