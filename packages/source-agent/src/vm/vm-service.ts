import { unary, type RegisterVmRequest, type VmServiceServer } from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import { isName, NAME_RULE } from '@umem/ram';
import type { VmRegistry } from './vm-registry.js';

/** Longest path of a Unix socket that the kernel takes, in bytes. */
const MAX_SOCKET_PATH_BYTES = 107;

/** `umem.v1.VmService`. */
export function createVmService(registry: VmRegistry): VmServiceServer {
  return {
    registerVm: unary((request) => {
      check(request);
      return registry.register(request.name, request.qmpPath);
    }),
    getVm: unary(({ name }) => registry.get(name).show()),
    listVms: unary(async () => ({ vms: await Promise.all(registry.list().map((vm) => vm.show())) })),
    unregisterVm: unary(async ({ name }) => {
      await registry.unregister(name);
      return {};
    }),
  };
}

function check({ name, qmpPath }: RegisterVmRequest): void {
  if (!isName(name))
    throw new InvalidArgument(`VM name ${JSON.stringify(name)} is not valid: use ${NAME_RULE}`);
  if (!qmpPath.startsWith('/') || qmpPath.includes('\0'))
    throw new InvalidArgument(
      `qmp_path ${JSON.stringify(qmpPath)} must be an absolute path on the agent's host`,
    );
  const bytes = Buffer.byteLength(qmpPath);
  if (bytes > MAX_SOCKET_PATH_BYTES)
    throw new InvalidArgument(`qmp_path has ${bytes} bytes and the kernel allows ${MAX_SOCKET_PATH_BYTES}`);
}
