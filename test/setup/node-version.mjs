import { SetupError } from './report.mjs';

/** The oldest Node.js that all dependencies support. */
const OLDEST = [20, 19, 0];

export function requireNode() {
  const have = process.versions.node.split('.').map(Number);
  for (const [index, needed] of OLDEST.entries()) {
    if (have[index] > needed) return;
    if (have[index] < needed) {
      throw new SetupError(
        `Node.js ${process.versions.node} is too old: ${OLDEST.join('.')} or newer is needed (20.x is tested).`,
      );
    }
  }
}
