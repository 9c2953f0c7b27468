import type { Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { LaneServerService, openSocket, SERVER, serveOver } from '@umem/api';
import { createPageSource } from '../page-source.js';
import { ServeSession, ServeSessions } from '../serve-session.js';
import type { FromWorker, SessionSnapshot, ToWorker, WorkerStart } from './messages.js';
import { RemoteGate } from './remote-gate.js';
import { ThreadCalls } from './thread-calls.js';

// A worker thread that serves lanes on an address of its own, so that bulk pages never stand in the
// event loop that answers demand. It knows nothing but what the main thread tells it.

const port = parentPort;
if (!port) throw new Error('This is the entry of a worker thread of umem-source-agent, not a program');
const { address } = workerData as WorkerStart;

const sessions = new ServeSessions();
/** Of `serve`; the server knows nothing of them. */
const sockets = new Set<Socket>();
const gate = new RemoteGate(() => main);
const main = new ThreadCalls<FromWorker, ToWorker>(port, obey, (error) => {
  // Nobody waits for a note's answer: the thread dies of it, is reported and started anew.
  throw error;
});

const server = new Server({
  ...SERVER,
  // A peer that vanished, or hangs, is noticed within 20 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 10_000,
});
server.addService(LaneServerService, createPageSource(sessions, gate));
server.bindAsync(address, ServerCredentials.createInsecure(), (error, boundPort) => {
  if (error) throw error;
  main.tell({ type: 'listening', port: boundPort });
});

function obey(message: ToWorker): Promise<void> | void {
  switch (message.type) {
    case 'open':
      return open(message.session);
    case 'addPeer':
      return void sessions.find(message.migrationId)?.addPeer(message.peer);
    case 'enter':
      return sessions.find(message.migrationId)?.enter(message.phase);
    case 'pump':
      return sessions.find(message.migrationId)?.pump(message.peer);
    case 'rateChanged':
      return sessions.find(message.migrationId)?.rateChanged();
    case 'punch':
      return punch(message);
    case 'endLane':
      return gate.endLane(message.lane, message.error);
    case 'close':
      return close(message.migrationId);
    case 'serve':
      return serve(message);
    case 'stop':
      return stop();
  }
}

function open({ share, peers, phase }: SessionSnapshot): void {
  const { migrationId } = share;
  const session = new ServeSession(share, {
    onAllSent: (peer) => main.tell({ type: 'allSent', migrationId, peer }),
    onEoc: (peer) => main.tell({ type: 'eoc', migrationId, peer }),
    onPlaced: (peer, block, ranges) => main.tell({ type: 'placed', migrationId, peer, block, ranges }),
  });
  for (const peer of peers) session.addPeer(peer);
  session.enter(phase);
  sessions.add(session);
}

function punch({ migrationId, block, ranges }: Extract<ToWorker, { type: 'punch' }>): void {
  const session = sessions.find(migrationId);
  for (const range of ranges) session?.punch(block, range);
}

function close(migrationId: string): void {
  const session = sessions.find(migrationId);
  if (!session) return;
  sessions.remove(session);
  session.close();
}

function serve({ fd, inherited }: Extract<ToWorker, { type: 'serve' }>): void {
  const socket = openSocket(fd);
  sockets.add(socket);
  socket.once('close', () => {
    sockets.delete(socket);
    main.tell({ type: 'connectionEnded', inherited });
  });
  serveOver(server, socket);
}

/** When nothing holds it any more, the thread ends by itself. */
function stop(): void {
  for (const session of sessions.all()) session.close();
  server.forceShutdown();
  for (const socket of sockets) socket.destroy();
  port?.close();
}
