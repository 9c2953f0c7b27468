import { defineConfig } from 'vitest/config';

// Real processes, workers and userfaultfds on a machine that others use too: nothing here is slow by itself.
export default defineConfig({ test: { include: ['test/**/*.test.ts'], testTimeout: 60_000 } });
