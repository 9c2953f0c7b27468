/** How a call went, as a value: a failure is a finding here. */
export interface Asked<T> {
  readonly value: T | null;
  readonly error: unknown;
}

export async function ask<T>(question: () => Promise<T>): Promise<Asked<T>> {
  try {
    return { value: await question(), error: null };
  } catch (error) {
    return { value: null, error };
  }
}
