import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { join } from 'node:path';
import { repositoryRoot } from '../../kit/repository.js';

const FILES = ['page_source', 'migration', 'vm', 'incoming', 'umemd'];

/**
 * All that this suite knows of the protocol: the files below `proto/`, read when it starts. Field names
 * are as written there, 64-bit numbers decimal strings, enum values names.
 */
const definitions = loadSync(
  FILES.map((file) => `umem/v1/${file}.proto`),
  {
    includeDirs: [join(repositoryRoot, 'proto')],
    keepCase: true,
    longs: String,
    enums: String,
    bytes: Buffer,
    oneofs: true,
    defaults: true,
  },
);

/** A service by the name it has in proto/. */
export function serviceOf(name: string): ServiceDefinition {
  const found = definitions[`umem.v1.${name}`];
  if (found === undefined || 'format' in found) throw new Error(`proto/ has no service ${name}`);
  return found;
}

/** A method by the names it has in proto/. */
export function methodOf(service: string, method: string): MethodDefinition<object, object> {
  const found = serviceOf(service)[method] as MethodDefinition<object, object> | undefined;
  if (found === undefined) throw new Error(`proto/ has no ${service}.${method}`);
  return found;
}
