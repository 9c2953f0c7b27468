import { Lab } from '../kit/lab.js';

/** Runs a round in a lab of its own, which ends with it; a failure shows what the services said. */
export async function withLab<T>(round: (lab: Lab) => Promise<T>): Promise<T> {
  const lab = await Lab.open();
  try {
    return await round(lab);
  } catch (error) {
    process.stderr.write(`${lab.logs()}\n`);
    throw error;
  } finally {
    await lab.close();
  }
}
