import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'run/**/*.test.ts',
      'setup/**/*.test.ts',
      'demo/**/*.test.ts',
      'bench/**/*.test.ts',
      'kit/**/*.test.ts',
      'contract/**/*.test.ts',
      'integration/**/*.test.ts',
      'e2e/**/*.test.ts',
    ],
    // Two cores: guests and services need them more than a second test file does.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
