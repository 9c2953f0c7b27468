// Pulls pages of a migrating VM from its source-agent: a peer written from proto/ alone (docs/protocol.md).
// Usage: node pull-pages.mjs SOURCE-AGENT VM PGOFF...   reads the VM's first RAM block
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PAGE_SIZE = 4096;
const [address, vm, ...numbers] = process.argv.slice(2);
const pgoffs = numbers.map(Number);

const proto = loadSync(
  ['migration', 'page_source', 'vm'].map((name) => `umem/v1/${name}.proto`),
  {
    includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
    enums: String,
    longs: Number,
    defaults: true,
  },
);
const { MigrationService, PageSource, VmService } = loadPackageDefinition(proto).umem.v1;
const open = (Service, options = {}) => new Service(address, credentials.createInsecure(), options);
const call = (client, method, request) =>
  new Promise((resolve, reject) =>
    client[method](request, (error, response) => (error ? reject(error) : resolve(response))),
  );

// 1. A token, and the RAM as the source has it.
const migrations = open(MigrationService);
const { migrationId, token } = await call(migrations, 'createLaneToken', { migration: vm });
const vms = open(VmService);
const { blocks } = await call(vms, 'getVm', { name: vm });
const { blockId } = blocks[0];

// 2. A lane: its own connection, a window for bulk data, the token as metadata.
const source = open(PageSource, {
  'grpc.use_local_subchannel_pool': 1,
  'grpc-node.flow_control_window': 1 << 20,
  'grpc.max_receive_message_length': 8 << 20,
});
const metadata = new Metadata();
metadata.set('umem-token', token);
const lane = source.serve(metadata);
const waiting = new Set(pgoffs);

lane.on('metadata', () => {
  // 4. The headers say that INIT was accepted. Ask; 4063 pgoffs fit one message.
  for (const block of blocks)
    console.log(`${migrationId} accepted the lane: ${block.blockId} ${block.sizeBytes} bytes`);
  lane.write({ onDemand: { blockId, pgoffs } });
});

lane.on('data', ({ pages }) => {
  // 5. Batches come in any order; without `pages` it is EOS, which asks nothing of us.
  if (!pages) return;
  let at = 0;
  for (const { pgoff, pageCount, encoding, fillValue } of pages.runs) {
    for (let page = pgoff; page < pgoff + pageCount; page++) {
      const isRaw = encoding === 'PAGE_ENCODING_RAW';
      const bytes = isRaw ? pages.data.subarray(at, at + PAGE_SIZE) : Buffer.alloc(PAGE_SIZE, fillValue);
      if (bytes.length !== PAGE_SIZE) throw new Error(`The batch has too few bytes for page ${page}`);
      if (isRaw) at += PAGE_SIZE;
      // A page may come twice; the first counts.
      if (!waiting.delete(page)) continue;
      const what = isRaw
        ? `RAW ${createHash('sha256').update(bytes).digest('hex')}`
        : `FILL 0x${fillValue.toString(16).padStart(2, '0')}`;
      console.log(`${pages.blockId} page ${page}: ${what}`);
    }
  }
  if (at !== pages.data.length) throw new Error(`The batch has ${pages.data.length - at} bytes too many`);
  // 6. Enough: end the connection. With a token of CreateLaneToken this concerns our lanes only.
  if (waiting.size === 0) lane.write({ eoc: {} });
});

lane.on('status', ({ code, details }) => {
  console.log(`the lane ended with ${code === 0 ? 'OK' : `status ${code}: ${details}`}`);
  process.exitCode = code === 0 ? 0 : 1;
  for (const client of [source, migrations, vms]) client.close();
});
// The status says it all; an unheard error would be thrown.
lane.on('error', () => {});

// 3. INIT is the first message. Order of the blocks does not matter, their sizes do.
lane.write({
  init: {
    migrationId,
    laneKind: 'LANE_KIND_DEMAND',
    targetPageSizeBytes: PAGE_SIZE,
    blocks: blocks.map((block) => ({ ...block, hostPageSizeBytes: PAGE_SIZE })),
    generation: 1,
  },
});
