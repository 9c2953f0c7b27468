import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import {
  Placement,
  IncomingServiceService,
  unary,
  VmRunState,
  VmServiceService,
  type PreflightCheck,
  type PreflightRequest,
} from '@umem/api';
import { afterEach, describe, expect, it } from 'vitest';
import type { ServingStatus } from '../client/health.js';
import { HealthDefinition } from '../client/health.js';
import { runCli } from '../run-cli.js';
import { block, createVm } from '../testing/messages.js';
import { ScriptedPeer, type ScriptedService } from '../testing/scripted-peer.js';
import { createTestIo } from '../testing/test-io.js';

const peers: ScriptedPeer[] = [];
const servers: Server[] = [];
afterEach(() => {
  for (const peer of peers.splice(0)) peer.stop();
  for (const server of servers.splice(0)) server.close();
});

async function start(...services: ScriptedService[]): Promise<string> {
  const peer = await ScriptedPeer.start(...services);
  peers.push(peer);
  return peer.address;
}

function healthy(status: ServingStatus = 'SERVING'): ScriptedService {
  return { definition: HealthDefinition, handlers: { check: unary(() => status) } };
}

function source(...vms: ReturnType<typeof createVm>[]): ScriptedService {
  return { definition: VmServiceService, handlers: { listVms: unary(() => ({ vms })) } };
}

function destination(checks: PreflightCheck[], asked: PreflightRequest[] = []): ScriptedService {
  const handlers = {
    listIncomings: unary(() => ({ incomings: [] })),
    preflight: unary((request: PreflightRequest) => {
      asked.push(request);
      return { checks };
    }),
  };
  return { definition: IncomingServiceService, handlers };
}

const roomy: PreflightCheck = { check: 'ram-space', passed: true, finding: '20 GiB free', fix: '' };

describe('umemctl doctor', () => {
  it('checks this host without any service', async () => {
    const io = createTestIo({ env: { PATH: process.env['PATH'] ?? '' } });
    const code = await runCli(['doctor', '--json'], io);
    const document = io.stdout.json() as { ok: boolean; checks: { check: string; subject: string }[] };
    expect(document.checks.map(({ check }) => check)).toEqual([
      'kernel',
      'userfaultfd',
      'capabilities',
      'seccomp',
      'shmem-huge-pages',
      'huge-page-pool',
      'ram-space',
      'qemu',
    ]);
    expect(code).toBe(document.ok ? 0 : 3);
  });

  it('exits 3 and names the check that failed', async () => {
    const io = createTestIo();
    expect(await runCli(['doctor', '--ram-dir', '/nowhere'], io)).toBe(3);
    expect(io.stdout.text).toMatch(
      /^ {2}FAIL {2}ram-space +\/nowhere does not exist\. Fix: mount a tmpfs on \/nowhere$/m,
    );
    expect(io.stderr.text).toMatch(/^umemctl: 1 of 8 checks failed: ram-space \(this host\)\n$/);
  });

  it("asks a destination whether each of a source's VMs could come, but not the one that moved away", async () => {
    const asked: PreflightRequest[] = [];
    const from = await start(
      healthy(),
      source(createVm(), createVm({ name: 'old', runState: VmRunState.MOVED })),
    );
    const to = await start(healthy(), destination([roomy], asked));
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', from, '--agent', to, '--profile', 'web'], io)).toBe(0);
    expect(asked).toEqual([
      {
        name: 'web1',
        blocks: [block],
        profile: 'web',
        placement: Placement.COPY,
        vhostUserDevices: [],
      },
    ]);
    expect(io.stdout.text).toContain(`web1 to ${to}\n  ok    ram-space  20 GiB free\n`);
    expect(io.stdout.text).toMatch(/version +umem\.v1, source-agent$/m);
    expect(io.stdout.text).toMatch(/version +umem\.v1, destination-agent$/m);
  });

  it('asks a lone destination with an example', async () => {
    const asked: PreflightRequest[] = [];
    const to = await start(healthy(), destination([{ ...roomy, passed: false, fix: 'Grow it' }], asked));
    const io = createTestIo({ env: { UMEM_AGENT: to } });
    expect(await runCli(['doctor', '--json'], io)).toBe(3);
    expect(asked).toHaveLength(1);
    expect(io.stdout.json()).toMatchObject({
      apiVersion: 'umem/v1',
      ok: false,
      checks: expect.arrayContaining([
        {
          subject: `anything to ${to}`,
          check: 'ram-space',
          result: 'fail',
          finding: '20 GiB free',
          fix: 'Grow it',
        },
      ]) as unknown,
    });
  });

  it('exits 3 when the VM that it should check is nowhere', async () => {
    const from = await start(healthy(), source(createVm()));
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', from, '--vm', 'web2'], io)).toBe(3);
    expect(io.stdout.text).toContain('Fix: umemctl vm register web2');
  });

  it('exits 4 when an agent does not answer, and still tells about the others', async () => {
    const to = await start(healthy(), destination([roomy]));
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', 'unix:/nowhere.sock', to], io)).toBe(4);
    expect(io.stdout.text).toMatch(/FAIL {2}reachable .*unix:\/nowhere\.sock/);
    expect(io.stdout.text).toContain('20 GiB free');
  });

  it('fails a service that says it is not serving', async () => {
    const from = await start(healthy('NOT_SERVING'), source());
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', from], io)).toBe(3);
    expect(io.stdout.text).toMatch(/FAIL {2}health +NOT_SERVING/);
  });

  it('only warns about a peer without a health service', async () => {
    const from = await start(source());
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', from], io)).toBe(0);
    expect(io.stdout.text).toMatch(/warn {2}health +no grpc\.health\.v1 service/);
  });

  it('tells a gRPC server of something else from a umem service', async () => {
    const other = await start(healthy());
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', other], io)).toBe(3);
    expect(io.stdout.text).toMatch(/FAIL {2}version +serves nothing of umem\.v1/);
  });

  it('does not hang on something that is no gRPC server', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', `127.0.0.1:${port}`], io)).toBe(4);
  });

  it('refuses a bad address', async () => {
    const io = createTestIo();
    expect(await runCli(['doctor', '--agent', 'unix:relative'], io)).toBe(2);
    expect(io.stderr.text).toContain('must be absolute');
  });
});
