type Undo = () => unknown;

/** What has to be undone, in reverse order, whatever fails on the way. */
export class Cleanup {
  readonly #undos: { readonly what: string; readonly undo: Undo }[] = [];

  defer(what: string, undo: Undo): void {
    this.#undos.push({ what, undo });
  }

  /** Undoes everything once; throws an AggregateError of what did not work. */
  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let last = this.#undos.pop(); last !== undefined; last = this.#undos.pop()) {
      try {
        await last.undo();
      } catch (error) {
        errors.push(new Error(`Could not ${last.what}`, { cause: error }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'Cleaning up failed');
  }
}
