import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { credentials } from '@grpc/grpc-js';
import { call, LaneKind, VmServiceClient } from '@umem/api';
import { silentLogger, startDaemon, type LogEvent, type Logger } from '@umem/daemon';
import { HostPrecondition, InvalidArgument, Unimplemented } from '@umem/errors';
import { native } from '@umem/native';
import { expect, onTestFinished, test } from 'vitest';
import { sourceAgentDaemon } from '../server.js';
import { GuestRam } from '../testing/guest-ram.js';
import type { LanePeer } from '../testing/lane-peer.js';
import { SessionLab, type LabSettings } from '../testing/session-lab.js';
import { adoptSockets, InheritedLanes } from './inherited-lanes.js';

async function startLab(settings: LabSettings = {}): Promise<SessionLab> {
  const lab = await SessionLab.start(settings);
  onTestFinished(() => lab.stop());
  return lab;
}

/** Where whoever connects has connected to a descriptor of this process. */
async function startWrapper(): Promise<{ address: string; next: () => Promise<number> }> {
  const wrapper = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  onTestFinished(() => void wrapper.close());
  await once(wrapper, 'listening');
  const next = async (): Promise<number> => {
    const [socket] = (await once(wrapper, 'connection')) as [Socket & { _handle: { fd: number } }];
    const fd = native.dupFd(socket._handle.fd);
    socket.destroy();
    return fd;
  };
  return { address: `127.0.0.1:${(wrapper.address() as AddressInfo).port}`, next };
}

/** Peers whose connections an agent inherits, in order. */
async function inheritLanes(
  lab: SessionLab,
  count: number,
  log: Logger = silentLogger,
): Promise<{ peers: LanePeer[]; fds: number[] }> {
  const { address, next } = await startWrapper();
  const peers: LanePeer[] = [];
  const fds: number[] = [];
  for (let i = 0; i < count; i++) {
    const inherited = next();
    peers.push(lab.dial(address));
    fds.push(await inherited);
  }
  const lanes = new InheritedLanes(adoptSockets(fds), lab.sessions, log);
  onTestFinished(() => lanes.stop());
  return { peers, fds };
}

/** Opens demand on the first peer's connection and background on the others'. */
async function openAll(lab: SessionLab, peers: readonly LanePeer[]): Promise<void> {
  for (const [i, peer] of peers.entries())
    peer.init(lab.migrationId, i === 0 ? LaneKind.DEMAND : LaneKind.BACKGROUND, lab.ram.blocks, {
      generation: 1n,
    });
  for (const peer of peers) if (!(await peer.accepted)) throw new Error((await peer.ended).details);
}

test('lanes bring every byte over inherited connections, in more threads than one', async () => {
  const lab = await startLab({ ram: new GuestRam({ ram0: 2000 }), workers: 2 });
  const { peers } = await inheritLanes(lab, 3);
  await openAll(lab, peers);
  lab.session.freeze();
  const [demand, ...background] = peers;
  demand?.demand('ram0', [7]);
  await demand?.until(() => demand.pages.size === 1);
  lab.session.push();
  await Promise.all(background.map(({ eos }) => eos));
  const pages = new Map(peers.flatMap((peer) => [...peer.pages]));
  expect(pages.size).toBe(2000);
  for (const [page, bytes] of pages)
    expect(bytes.equals(lab.ram.page(0, Number(page.split('/')[1])))).toBe(true);
  expect(background.every((peer) => peer.pages.size > 0)).toBe(true);
});

test('a connection that is lost ends its lane, is reported by its number, and nobody waits for it', async () => {
  const lab = await startLab();
  const ended: unknown[] = [];
  const log: Logger = Object.create(silentLogger, {
    event: { value: ({ message }: LogEvent, fields: object) => void ended.push([message, fields]) },
  }) as Logger;
  const { peers, fds } = await inheritLanes(lab, 1, log);
  await openAll(lab, peers);
  peers[0]?.close();
  await expect.poll(() => ended).toContainEqual(['Inherited connection has ended, for good', { fd: fds[0] }]);
  await expect.poll(() => lab.laneCounts.at(-1)).toBe(0);
});

test('whoever is at the other end of a connection gets lanes and no other service of the agent', async () => {
  const lab = await startLab();
  const { address, next } = await startWrapper();
  const inherited = next();
  const client = new VmServiceClient(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const asked = call(client, client.listVms, { pageSize: 0, pageToken: '' }, { peer: 'agent' });
  const lanes = new InheritedLanes(adoptSockets([await inherited]), lab.sessions, silentLogger);
  onTestFinished(() => lanes.stop());
  await expect(asked).rejects.toThrow(Unimplemented);
});

test('an agent that is started with something else than connections does not start', async () => {
  const file = openSync('/dev/null', 'r');
  onTestFinished(() => closeSync(file));
  const start = (serveFds: unknown): Promise<unknown> => {
    const settings = { stateDir: `/dev/shm/umem-sa-fds-${process.pid}`, listen: '127.0.0.1:0', serveFds };
    return startDaemon(sourceAgentDaemon, settings as never, { log: silentLogger });
  };
  await expect(start([file])).rejects.toThrow(HostPrecondition);
  await expect(start([file])).rejects.toThrow(`--serve-fds cannot be used: descriptor ${file} is no socket`);
  await expect(start([900, 901])).rejects.toThrow(/descriptor 900 is not open.*; descriptor 901 is not open/);
  await expect(start([file, file])).rejects.toThrow(InvalidArgument);
  await expect(start([2])).rejects.toThrow('standard input, output or error');
});
