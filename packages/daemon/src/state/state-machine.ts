import { WrongState } from '@umem/errors';

/** To which states each state may go. Rules belong in this table, not in code around it. */
export type StateTable<S extends string> = Readonly<Record<S, readonly S[]>>;

export interface StateMachineSettings<S extends string> {
  /** What has the state, for messages: "migration mig-7f3a". */
  readonly subject: string;
  readonly initial: S;
  readonly table: StateTable<S>;
  /** Called after each move; the place for the one log line. */
  readonly onTransition?: (from: S, to: S, reason: string) => void;
}

/** One thing's state: it moves as its table says, or throws WrongState. */
export class StateMachine<S extends string> {
  readonly #settings: StateMachineSettings<S>;
  #current: S;

  constructor(settings: StateMachineSettings<S>) {
    this.#settings = settings;
    this.#current = settings.initial;
  }

  get current(): S {
    return this.#current;
  }

  is(...states: readonly S[]): boolean {
    return states.includes(this.#current);
  }

  /** True in a state that has no way out. */
  get isFinal(): boolean {
    return this.#settings.table[this.#current].length === 0;
  }

  /** Whether the table allows `to` now. */
  canBecome(to: S): boolean {
    return this.#settings.table[this.#current].includes(to);
  }

  /** Moves to `to` because of `reason`. Throws WrongState where the table does not allow it. */
  transition(to: S, reason: string): void {
    const { subject, table, onTransition } = this.#settings;
    const from = this.#current;
    if (!table[from].includes(to)) {
      const origins = (Object.keys(table) as S[]).filter((state) => table[state].includes(to));
      throw new WrongState(subject, from, origins, `it cannot become ${to} (${reason})`);
    }
    this.#current = to;
    onTransition?.(from, to, reason);
  }

  /** Throws WrongState unless the state is one of `allowed`; `clause`: "it cannot be cancelled any more". */
  require(allowed: readonly S[], clause: string): void {
    if (!allowed.includes(this.#current))
      throw new WrongState(this.#settings.subject, this.#current, allowed, clause);
  }
}
