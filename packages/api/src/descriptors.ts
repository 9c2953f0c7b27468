import { readFileSync } from 'node:fs';
import { loadFileDescriptorSetFromBuffer, type PackageDefinition } from '@grpc/proto-loader';

/** The proto package with its descriptors, for reflection and dynamic clients. */
export function loadDescriptors(): PackageDefinition {
  return loadFileDescriptorSetFromBuffer(readFileSync(new URL('./descriptors.binpb', import.meta.url)));
}
