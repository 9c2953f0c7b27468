/** Levels in which an event may be logged, least severe first. */
export type EventLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** Something worth a log line, with the name under which it is found. */
export interface LogEvent {
  readonly name: string;
  readonly level: EventLevel;
  readonly message: string;
}

/** A service's events, declared in one place: the key is the event's name. */
export function defineEvents<T extends Record<string, { level: EventLevel; message: string }>>(
  events: T,
): { readonly [K in keyof T]: LogEvent } {
  const named = Object.entries(events).map(([name, event]) => [name, { ...event, name }] as const);
  return Object.fromEntries(named) as { readonly [K in keyof T]: LogEvent };
}
