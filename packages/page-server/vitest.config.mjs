import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['src/**/*.test.ts'], globalSetup: 'src/testing/build-vmm.ts', testTimeout: 60_000 },
});
