import { z } from 'zod';

const versionSchema = z.object({
  qemu: z.object({ major: z.number(), minor: z.number(), micro: z.number() }),
  package: z.string().default(''),
});

const greetingSchema = z.object({ QMP: z.object({ version: versionSchema }) });

const errorSchema = z.object({ class: z.string(), desc: z.string() });

const eventSchema = z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) });

const replySchema = z.object({ id: z.unknown().optional(), return: z.unknown() });

const errorReplySchema = z.object({ id: z.unknown().optional(), error: errorSchema });

export type QmpVersion = z.infer<typeof versionSchema>;

/** One line from a QMP server. */
export type QmpMessage =
  | { readonly kind: 'greeting'; readonly version: QmpVersion }
  | { readonly kind: 'event'; readonly event: string; readonly data: Readonly<Record<string, unknown>> }
  | { readonly kind: 'return'; readonly id: unknown; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: unknown; readonly qmpClass: string; readonly desc: string };

/** Reads one line. Throws Error with what is wrong with it. */
export function parseQmpLine(line: string): QmpMessage {
  const value = parseJson(line);
  const event = eventSchema.safeParse(value);
  if (event.success) return { kind: 'event', ...event.data };
  const error = errorReplySchema.safeParse(value);
  if (error.success)
    return {
      kind: 'error',
      id: error.data.id,
      qmpClass: error.data.error.class,
      desc: error.data.error.desc,
    };
  const greeting = greetingSchema.safeParse(value);
  if (greeting.success) return { kind: 'greeting', version: greeting.data.QMP.version };
  const reply = replySchema.safeParse(value);
  if (reply.success && typeof value === 'object' && value !== null && 'return' in value)
    return { kind: 'return', id: reply.data.id, value: reply.data.return };
  throw new Error(`it is no QMP message: ${excerpt(line)}`);
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Error(`it is not JSON: ${excerpt(line)}`, { cause });
  }
}

/** The start of a peer's text, safe to print. */
function excerpt(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}
