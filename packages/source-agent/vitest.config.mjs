import { defineConfig } from 'vitest/config';

// Real processes, sockets and threads on a machine that others use too: nothing here is slow by itself.
export default defineConfig({
  test: { include: ['src/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
});
