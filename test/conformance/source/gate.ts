/** A call of the source that waits until the suite lets it go on. */
export class Gate {
  /** Settles when the source has come this far. */
  readonly arrived: Promise<void>;
  readonly #answered: Promise<void>;
  #arrive: () => void = () => {};
  #answer: () => void = () => {};
  #refuse: (error: Error) => void = () => {};

  constructor() {
    this.arrived = new Promise((resolve) => (this.#arrive = resolve));
    this.#answered = new Promise((resolve, reject) => {
      this.#answer = resolve;
      this.#refuse = reject;
    });
    // A refusal that nobody waits for any more is no failure.
    this.#answered.catch(() => undefined);
  }

  /** The source's call: resolves when it may be answered, rejects with what it is refused with. */
  wait(): Promise<void> {
    this.#arrive();
    return this.#answered;
  }

  open(): void {
    this.#answer();
  }

  refuse(error: Error): void {
    this.#refuse(error);
  }
}
