import { z } from 'zod';

/** Replies of the QMP commands that umem uses; fields that it does not use are ignored. */

export const nothing = z.unknown().transform(() => undefined);

export const statusReply = z.object({ running: z.boolean(), status: z.string() });

export const memdevReply = z.array(
  z.object({ id: z.string().optional(), size: z.number(), share: z.boolean().optional() }),
);

export const qomListReply = z.array(z.object({ name: z.string(), type: z.string() }));

export const memorySizeReply = z.object({
  'base-memory': z.number(),
  'plugged-memory': z.number().default(0),
});

export const cpusReply = z.array(z.object({ 'thread-id': z.number() }));

export const capabilitiesReply = z.array(z.object({ capability: z.string(), state: z.boolean() }));

export const parametersReply = z.object({
  'max-bandwidth': z.number().optional(),
  'tls-creds': z.string().optional(),
});

export const migrationReply = z.object({
  status: z.string().optional(),
  'error-desc': z.string().optional(),
  'blocked-reasons': z.array(z.string()).optional(),
});
export type MigrationReply = z.infer<typeof migrationReply>;

/** Output of a human monitor command. */
export const hmpReply = z.string();
