import type { ListMigrationsRequest, ListMigrationsResponse } from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import type { Migration } from './migration.js';

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1000;

/** One page of the list; a token names the last migration of the page before. */
export function toListResponse(
  newestFirst: readonly Migration[],
  { pageSize, pageToken }: ListMigrationsRequest,
): ListMigrationsResponse {
  if (pageSize > MAX_PAGE_SIZE)
    throw new InvalidArgument(`page_size is ${pageSize} and ${MAX_PAGE_SIZE} is the most`);
  const size = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
  const after = pageToken === '' ? null : fromToken(pageToken);
  const rest = after === null ? newestFirst : newestFirst.filter((one) => isOlder(one, after));
  const page = rest.slice(0, size);
  const last = page.at(-1);
  return {
    migrations: page.map((one) => one.toMessage()),
    nextPageToken: last && rest.length > size ? toToken(last) : '',
  };
}

/** Where a migration stands in a list. */
export interface Position {
  readonly createdAtUnixUs: bigint;
  readonly id: string;
}

/** The order of lists: newest first. */
export function isOlder(one: Position, { createdAtUnixUs, id }: Position): boolean {
  if (one.createdAtUnixUs !== createdAtUnixUs) return one.createdAtUnixUs < createdAtUnixUs;
  return one.id < id;
}

function toToken({ createdAtUnixUs, id }: Position): string {
  return Buffer.from(`${createdAtUnixUs} ${id}`).toString('base64url');
}

function fromToken(token: string): Position {
  const match = /^(\d{1,20}) (\S+)$/.exec(Buffer.from(token, 'base64url').toString());
  if (!match?.[1] || !match[2])
    throw new InvalidArgument('page_token is not one that ListMigrations answered with');
  return { createdAtUnixUs: BigInt(match[1]), id: match[2] };
}
