import { test as base } from 'vitest';
import { Lab } from './lab.js';

/** A test with a lab of its own; when the test fails, the logs of all its children are shown. */
export const test = base.extend<{ lab: Lab }>({
  lab: async ({ onTestFailed }, use) => {
    const lab = await Lab.open();
    onTestFailed(() => console.error(lab.logs()));
    try {
      await use(lab);
    } finally {
      await lab.close();
    }
  },
});
