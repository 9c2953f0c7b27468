import type { ProcessGuest } from '@umem/vmm';
import type { ProcessMove } from '../kit/process-move.js';
import { QmpProxy } from '../kit/qmp-proxy.js';

/** Makes a move ready with a proxy between source-agent and VMM. */
export async function makeReadyWithProxy(
  move: ProcessMove,
): Promise<{ readonly proxy: QmpProxy; readonly after: ProcessGuest }> {
  const listenPath = `${move.lab.dir}/proxy.qmp`;
  const proxy = await QmpProxy.listen(move.lab, {
    listenPath,
    vmmPath: move.guest.qmpPath,
    ramPaths: move.ramPaths.values(),
  });
  await move.register(listenPath);
  return { proxy, after: await move.startIncoming(await move.prepare()) };
}
