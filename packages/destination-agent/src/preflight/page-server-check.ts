import type { PreflightCheck } from '@umem/api';
import { messageOf } from '@umem/errors';
import type { PageServer } from '../page-server/page-server.js';
import { failed, passed } from './check.js';

/** A page server on the same host answers at once, or not at all. */
const TIMEOUT_MS = 2_000;

/** Whether the page server answers. */
export async function checkPageServer(pageServer: PageServer): Promise<PreflightCheck> {
  const check = 'page-server';
  try {
    const sets = await pageServer.list(TIMEOUT_MS);
    return passed(check, `${pageServer.peer} answers and has ${sets.length} umem sets`);
  } catch (error) {
    return failed(check, messageOf(error), 'Start umem-page-server, or give its address with --page-server');
  }
}
