import { status } from '@grpc/grpc-js';
import { LaneKind } from '@umem/api';
import { Cancelled } from '@umem/errors';
import { PageBitmap, TARGET_PAGE_SIZE } from '@umem/ram';
import { afterEach, describe, expect, test } from 'vitest';
import { GuestRam } from '../testing/guest-ram.js';
import type { LanePeer } from '../testing/lane-peer.js';
import { SessionLab, type LabSettings } from '../testing/session-lab.js';

const { DEMAND, BACKGROUND } = LaneKind;

let lab: SessionLab;
const start = async (settings?: LabSettings): Promise<SessionLab> => (lab = await SessionLab.start(settings));
afterEach(() => lab.stop());

function expectPage(peer: LanePeer, block: number, pgoff: number): void {
  const blockId = lab.ram.blocks[block]?.blockId ?? '';
  const same = peer.get(blockId, pgoff)?.equals(lab.ram.page(block, pgoff));
  expect(same, `page ${pgoff} of ${blockId}`).toBe(true);
}

describe('the demand lane', () => {
  test('answers with the pages asked for, raw, constant and holes', async () => {
    await start();
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    demand.demand('ram0', [0, 3, 5, 999]);
    await demand.until(() => demand.pages.size === 4);
    for (const pgoff of [0, 3, 5, 999]) expectPage(demand, 0, pgoff);
  });

  test('answers a page again when it is demanded again', async () => {
    await start();
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    demand.demand('ram0', [7]);
    await demand.until(() => demand.copies('ram0', 7) === 1);
    demand.demand('ram0', [7]);
    await demand.until(() => demand.copies('ram0', 7) === 2);
  });

  test('answers 4063 pages and their continuation, in replies of at most 64 pages, in the order wanted', async () => {
    await start({ ram: new GuestRam({ ram0: 5000 }) });
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    const wanted = Array.from({ length: 5000 }, (_, i) => 4999 - i);
    demand.demand('ram0', wanted.slice(0, 4063));
    demand.send({ $case: 'onDemandCont', value: { pgoffs: wanted.slice(4063) } });
    await demand.until(() => demand.pages.size === 5000);
    for (const { pgoffs } of demand.batches) {
      expect(pgoffs.length).toBeLessThanOrEqual(64);
      expect(pgoffs).toEqual([...pgoffs].sort((a, b) => a - b));
    }
    expect(demand.batches[0]?.pgoffs.at(-1)).toBe(4999);
    for (let pgoff = 0; pgoff < 5000; pgoff += 333) expectPage(demand, 0, pgoff);
  });

  test('keeps requests until the guest is frozen', async () => {
    await start();
    const demand = await lab.open(DEMAND);
    demand.demand('ram0', [1]);
    const late = await lab.open(BACKGROUND);
    // Opened after the request was sent, on the same server: by now the request has been read.
    expect(await late.accepted).toBe(true);
    expect(demand.pages.size).toBe(0);
    lab.session.freeze();
    await demand.until(() => demand.pages.size === 1);
    expectPage(demand, 0, 1);
  });

  test('is told what is wrong with a request even before the guest is frozen', async () => {
    await start();
    const demand = await lab.open(DEMAND);
    demand.demand('ram0', [1]);
    demand.demand('ram0', [1000]);
    expect(await demand.ended).toMatchObject({ code: status.OUT_OF_RANGE });
    expect(demand.pages.size).toBe(0);
  });

  test('sends EOS once when all was demanded, and still answers after it', async () => {
    await start({ ram: new GuestRam({ ram0: 100 }) });
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    demand.demand(
      'ram0',
      Array.from({ length: 100 }, (_, i) => i),
    );
    await demand.eos;
    demand.demand('ram0', [50]);
    await demand.until(() => demand.copies('ram0', 50) === 2);
    expect(demand.eosCount).toBe(1);
  });

  test('never answers for pages that the guest gave up, and counts them for EOS', async () => {
    await start({ ram: new GuestRam({ ram0: 10 }) });
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    demand.remove('ram0', [0, 1, 2]);
    demand.demand('ram0', [0, 1, 2, 3]);
    demand.demand('ram0', [4, 5, 6, 7, 8, 9]);
    await demand.eos;
    expect([...demand.pages.keys()].map((key) => Number(key.split('/')[1]))).toEqual([3, 4, 5, 6, 7, 8, 9]);
  });

  test('ends with OK when its peer half-closes and everything was answered', async () => {
    await start();
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    demand.demand('ram0', [4, 8]);
    demand.halfClose();
    expect(await demand.ended).toMatchObject({ code: status.OK });
    expect(demand.pages.size).toBe(2);
  });

  test('serves several blocks', async () => {
    await start({ ram: new GuestRam({ ram0: 50, 'pc.ram': 70, dimm1: 3 }) });
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    demand.demand('pc.ram', [69]);
    demand.demand('dimm1', [2]);
    await demand.until(() => demand.pages.size === 2);
    expectPage(demand, 1, 69);
    expectPage(demand, 2, 2);
  });
});

describe('a background lane', () => {
  test.each(['the agent itself', 'a worker'])(
    'pushes every page of every block and then EOS, served by %s',
    async (by) => {
      await start({ ram: new GuestRam({ ram0: 3000, ram1: 700 }) });
      const background = await lab.open(BACKGROUND, {
        address: by === 'a worker' ? lab.worker() : lab.address,
      });
      lab.session.freeze();
      lab.session.push();
      await background.eos;
      expect(background.pages.size).toBe(3700);
      expect(background.eosCount).toBe(1);
      for (let pgoff = 0; pgoff < 3000; pgoff++) expectPage(background, 0, pgoff);
      for (let pgoff = 0; pgoff < 700; pgoff++) expectPage(background, 1, pgoff);
    },
  );

  test('pushes nothing before the guest runs on the destination, but answers requests once it is frozen', async () => {
    await start();
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    lab.session.freeze();
    background.background('ram0', [10, 11]);
    await background.until(() => background.pages.size === 2);
    background.background('ram0', [20]);
    await background.until(() => background.pages.size === 3);
    expect([...background.pages.keys()]).toEqual(['ram0/10', 'ram0/11', 'ram0/20']);
  });

  test('shares the pages with the other background lanes and the demand lane: none is pushed twice', async () => {
    await start({ ram: new GuestRam({ ram0: 8000 }), workers: 2 });
    const demand = await lab.open(DEMAND);
    const lanes = [
      await lab.open(BACKGROUND, { address: lab.worker(0) }),
      await lab.open(BACKGROUND, { address: lab.worker(1) }),
      await lab.open(BACKGROUND),
    ];
    lab.session.freeze();
    demand.demand('ram0', [5000, 5001]);
    await demand.until(() => demand.pages.size === 2);
    lab.session.push();
    await Promise.all([demand.eos, ...lanes.map(({ eos }) => eos)]);
    for (let pgoff = 0; pgoff < 8000; pgoff++) {
      const copies = [demand, ...lanes].reduce((sum, lane) => sum + lane.copies('ram0', pgoff), 0);
      expect(copies, `copies of page ${pgoff}`).toBe(1);
    }
  });

  test('sends pages that are asked for at background priority, even if they were sent', async () => {
    await start({ ram: new GuestRam({ ram0: 200 }) });
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    lab.session.freeze();
    lab.session.push();
    await background.eos;
    background.background('ram0', [17, 18]);
    background.send({ $case: 'backgroundCont', value: { pgoffs: [19] } });
    await background.until(() => background.copies('ram0', 19) === 2);
    expect(background.copies('ram0', 17)).toBe(2);
  });

  test('pushes around the newest fault first', async () => {
    // Slow enough that the fault is seen long before the end.
    await start({ ram: new GuestRam({ ram0: 20_000 }, () => 'text'), bytesPerSecond: 20 << 20 });
    const demand = await lab.open(DEMAND);
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    lab.session.freeze();
    lab.session.push();
    await background.until(() => background.batches.length > 2);
    demand.demand('ram0', [15_000]);
    await background.until(
      () => background.copies('ram0', 15_063) === 1 && background.copies('ram0', 14_990) === 1,
    );
    expect(background.copies('ram0', 14_000 - 1024)).toBe(0);
    expect(background.pages.size).toBeLessThan(5000);
  });

  test('pushes from beginning to end whatever faults come, when it shall not follow them', async () => {
    const ram = new GuestRam({ ram0: 20_000 }, () => 'text');
    await start({ ram, bytesPerSecond: 20 << 20, followsFaults: false });
    const demand = await lab.open(DEMAND);
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    lab.session.freeze();
    lab.session.push();
    demand.demand('ram0', [15_000]);
    await demand.until(() => demand.pages.size === 1);
    await background.until(() => background.pages.size > 2000);
    const pushed = background.batches.flatMap(({ pgoffs }) => pgoffs);
    expect(pushed).toEqual(pushed.map((_, pgoff) => pgoff));
    lab.session.setRate(0);
    await background.eos;
    expect(background.copies('ram0', 15_000)).toBe(0);
  });

  test('finishes a large host page of its peer before it goes where a fault was', async () => {
    const hostPage = 512;
    const ram = new GuestRam({ ram0: 40 * hostPage }, () => 'text');
    await start({ ram, bytesPerSecond: 64 << 20 });
    const demand = await lab.open(DEMAND);
    const background = lab.dial(lab.worker());
    const blocks = ram.blocks.map((block) => ({ ...block, hostPageSizeBytes: hostPage * TARGET_PAGE_SIZE }));
    background.init(lab.migrationId, BACKGROUND, blocks);
    await background.accepted;
    lab.session.freeze();
    lab.session.push();
    for (let fault = 39; fault > 20; fault--) {
      const { length } = background.batches;
      demand.demand(
        'ram0',
        Array.from({ length: hostPage }, (_, i) => fault * hostPage + i),
      );
      await background.until(() => background.batches.length > length + 2);
    }
    lab.session.setRate(0);
    await background.eos;
    const missing = new Map(Array.from({ length: 40 }, (_, page) => [page, hostPage]));
    for (const key of demand.pages.keys()) missing.delete(Math.floor(Number(key.split('/')[1]) / hostPage));
    for (const { pgoffs } of background.batches) {
      for (const page of pgoffs.map((pgoff) => Math.floor(pgoff / hostPage)))
        missing.set(page, (missing.get(page) ?? 0) - 1);
      const unfinished = [...missing.values()].filter((count) => count > 0 && count < hostPage);
      expect(unfinished.length).toBeLessThanOrEqual(1);
    }
  });

  test('serves a foreign client that half-closes after INIT until EOS, then ends with OK', async () => {
    await start();
    lab.session.freeze();
    lab.session.push();
    const background = await lab.open(BACKGROUND);
    background.halfClose();
    expect(await background.ended).toMatchObject({ code: status.OK });
    expect(background.pages.size).toBe(1000);
    expect(background.eosCount).toBe(1);
  });

  test('keeps to the rate limit together with its siblings, while demand does not wait', async () => {
    const bytesPerSecond = 8 << 20;
    await start({ ram: new GuestRam({ ram0: 1024 }, () => 'text'), bytesPerSecond, workers: 2 });
    const demand = await lab.open(DEMAND);
    const lanes = [
      await lab.open(BACKGROUND, { address: lab.worker(0) }),
      await lab.open(BACKGROUND, { address: lab.worker(1) }),
    ];
    lab.session.freeze();
    const begun = performance.now();
    lab.session.push();
    await lanes[0]?.until(() => (lanes[0]?.pages.size ?? 0) > 0);
    const asked = performance.now();
    demand.demand(
      'ram0',
      Array.from({ length: 512 }, (_, i) => 1023 - i),
    );
    await demand.until(() => demand.pages.size === 512);
    const demandMs = performance.now() - asked;
    await Promise.all(lanes.map(({ eos }) => eos));
    const seconds = (performance.now() - begun) / 1000;
    const pushed = lanes.reduce((sum, lane) => sum + lane.pages.size, 0) * 4096;
    expect(pushed).toBeGreaterThan(1 << 20);
    expect(pushed / seconds).toBeLessThan(bytesPerSecond * 1.2);
    // 2 MiB at the limit would take 250 ms more than pushing took.
    expect(demandMs).toBeLessThan(200);
  });

  test('never sends more than its limit allowed until then, and obeys a new limit at once', async () => {
    const pages = 12_000;
    await start({ ram: new GuestRam({ ram0: pages }, () => 'text'), bytesPerSecond: 4096, workers: 2 });
    const lanes = [
      await lab.open(BACKGROUND, { address: lab.worker(0) }),
      await lab.open(BACKGROUND, { address: lab.worker(1) }),
    ];
    lab.session.freeze();
    lab.session.push();
    await lanes[0]?.until(() => lanes.some((lane) => lane.pages.size > 0));
    const received = (): number => lanes.reduce((sum, { pages: { size } }) => sum + size * 4096, 0);
    const changes: { readonly atMs: number; readonly rate: number }[] = [];
    for (const rate of [10 << 20, 4 << 20]) {
      changes.push({ atMs: performance.now(), rate });
      lab.session.setRate(rate);
      const before = received();
      await lanes[0]?.until(() => received() > before + (6 << 20));
    }
    // Delays on the way only make it less: a machine that others use too cannot break this.
    const allowed = (atMs: number): number =>
      changes.reduce((sum, { atMs: from, rate }, i) => {
        const to = Math.min(atMs, changes[i + 1]?.atMs ?? Infinity);
        return sum + (rate * Math.max(0, to - from)) / 1000;
      }, 0);
    // One message of each lane and a tenth of a second's worth may go at once, at each limit.
    const atOnce = 2 * 64 * 4096 + 2 * (10 << 20) * 0.1;
    let sum = 0;
    for (const { atMs, bytes } of lanes.flatMap(({ batches }) => batches).sort((x, y) => x.atMs - y.atMs)) {
      sum += bytes;
      expect(sum).toBeLessThan(allowed(atMs) * 1.05 + atOnce);
    }
    lab.session.setRate(0);
    await Promise.all(lanes.map(({ eos }) => eos));
  });

  test('sends constant pages in few messages', async () => {
    await start({ ram: new GuestRam({ ram0: 100_000 }, (_, page) => (page === 99_999 ? 'text' : 'hole')) });
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    lab.session.freeze();
    lab.session.push();
    await background.eos;
    expect(background.pages.size).toBe(100_000);
    expect(background.batches.length).toBeLessThan(300);
  });

  test('stops claiming while its peer does not read, so that nothing grows', async () => {
    const pages = 20_000;
    await start({ ram: new GuestRam({ ram0: pages }, () => 'text') });
    const background = await lab.open(BACKGROUND);
    const demand = await lab.open(DEMAND);
    background.pause();
    lab.session.freeze();
    lab.session.push();
    // Everything that the peer's window and buffers take is sent; then the count stands still.
    let before = -1;
    for (let sent = 0; sent !== before; sent = lab.session.counts?.backgroundPages ?? 0) {
      before = sent;
      for (let i = 0; i < 20; i++) {
        const copies = demand.copies('ram0', i);
        demand.demand('ram0', [i]);
        await demand.until(() => demand.copies('ram0', i) > copies);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(before).toBeLessThan(pages / 2);
    background.resume();
    await background.eos;
  });
});

describe('a peer that asks and does not read', () => {
  test('is not read from any more, and gets everything once it reads', async () => {
    await start({ ram: new GuestRam({ ram0: 4063 }, () => 'text') });
    lab.session.freeze();
    const demand = await lab.open(DEMAND);
    demand.pause();
    const all = Array.from({ length: 4063 }, (_, i) => i);
    const rounds = 20;
    const before = process.memoryUsage().rss;
    for (let i = 0; i < rounds; i++) demand.demand('ram0', all);
    // Another page server's lane shows that the agent still works.
    const token = await lab.session.createToken();
    const other = await lab.open(DEMAND, { token });
    other.demand('ram0', all);
    await other.until(() => other.pages.size === 4063);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 << 20);
    const answered = lab.session.counts?.demandPages ?? 0;
    expect(answered).toBeLessThan(4063 * 3);
    demand.resume();
    await demand.until(() => demand.copies('ram0', 4062) === rounds);
  });
});

describe('the end', () => {
  test('EOC on any lane ends all lanes of that page server with OK and is reported', async () => {
    await start();
    lab.session.freeze();
    lab.session.push();
    const demand = await lab.open(DEMAND);
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    await background.eos;
    background.eoc();
    await lab.eoc;
    expect(await demand.ended).toMatchObject({ code: status.OK });
    expect(await background.ended).toMatchObject({ code: status.OK });
    expect(lab.session.lanes).toBe(0);
  });

  test('an aborted migration ends its lanes with CANCELLED on every thread', async () => {
    await start();
    const demand = await lab.open(DEMAND);
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    await lab.sessions.close(lab.session, new Cancelled('The migration was aborted'));
    expect(await demand.ended).toEqual({ code: status.CANCELLED, details: 'The migration was aborted' });
    expect(await background.ended).toEqual({ code: status.CANCELLED, details: 'The migration was aborted' });
    const late = lab.dial();
    late.init(lab.migrationId, DEMAND, lab.ram.blocks);
    expect(await late.ended).toMatchObject({ code: status.NOT_FOUND });
  });

  test('a lane that is cancelled is counted out', async () => {
    await start();
    const demand = await lab.open(DEMAND);
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    expect(lab.laneCounts.at(-1)).toBe(2);
    background.close();
    demand.close();
    await expect.poll(() => lab.laneCounts.at(-1)).toBe(0);
  });
});

describe('connecting anew', () => {
  test('ends older lanes with ABORTED and sends again what was lost on the way', async () => {
    await start({ ram: new GuestRam({ ram0: 500 }) });
    lab.session.freeze();
    lab.session.push();
    const old = await lab.open(BACKGROUND, { address: lab.worker() });
    await old.eos;
    // Of all that was sent only the first hundred pages arrived.
    const received = new PageBitmap(500);
    received.addRange({ pgoff: 0, pageCount: 100 });
    const anew = lab.dial(lab.worker());
    anew.init(lab.migrationId, BACKGROUND, lab.ram.blocks, {
      generation: 2n,
      received: [{ blockId: 'ram0', bits: received.toBytes() }],
    });
    await anew.eos;
    expect(await old.ended).toMatchObject({ code: status.ABORTED });
    expect(anew.pages.size).toBe(400);
    expect(anew.get('ram0', 99)).toBeUndefined();
    expectPage(anew, 0, 100);
  });

  test('a lane of an older generation is refused with ABORTED', async () => {
    await start();
    await lab.open(DEMAND, { generation: 5n });
    const stale = lab.dial(lab.worker());
    stale.init(lab.migrationId, BACKGROUND, lab.ram.blocks, { generation: 4n });
    expect(await stale.ended).toMatchObject({
      code: status.ABORTED,
      details: expect.stringContaining('4') as string,
    });
  });

  test('a client that has lost its only lane gets everything again with the same generation', async () => {
    await start({ ram: new GuestRam({ ram0: 300 }) });
    lab.session.freeze();
    lab.session.push();
    const first = await lab.open(BACKGROUND);
    await first.eos;
    first.close();
    await expect.poll(() => lab.session.lanes).toBe(0);
    const second = await lab.open(BACKGROUND);
    await second.eos;
    expect(second.pages.size).toBe(300);
  });
});

describe('further page servers', () => {
  test('have pages, generations and lanes of their own', async () => {
    await start({ ram: new GuestRam({ ram0: 400 }) });
    lab.session.freeze();
    lab.session.push();
    const token = await lab.session.createToken();
    const theirs = await lab.open(BACKGROUND, { token, generation: 9n });
    const ours = await lab.open(BACKGROUND, { address: lab.worker() });
    await Promise.all([theirs.eos, ours.eos]);
    expect(theirs.pages.size).toBe(400);
    expect(ours.pages.size).toBe(400);
    theirs.eoc();
    expect(await theirs.ended).toMatchObject({ code: status.OK });
    expect(lab.session.lanes).toBe(1);
  });

  test('are at most 16', async () => {
    await start();
    for (let i = 0; i < 16; i++) await lab.session.createToken();
    await expect(lab.session.createToken()).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});

describe('with release_ram', () => {
  test('a confirmed page is not sent again, and a connection that lacks it is refused', async () => {
    await start({ releasesRam: true, ram: new GuestRam({ ram0: 100 }, () => 'text') });
    lab.session.freeze();
    lab.session.allowRelease();
    const demand = await lab.open(DEMAND);
    const background = await lab.open(BACKGROUND, { address: lab.worker() });
    background.placed('ram0', [10, 5]);
    await expect.poll(() => lab.session.counts?.releasedPages).toBe(5);
    expect(lab.ram.allocatedBytes()).toBe(95 * 4096);
    demand.demand('ram0', [10, 20]);
    await demand.until(() => demand.pages.size === 1);
    expectPage(demand, 0, 20);
    const anew = lab.dial();
    anew.init(lab.migrationId, DEMAND, lab.ram.blocks, { generation: 2n });
    const end = await anew.ended;
    expect(status[end.code]).toBe('DATA_LOSS');
    expect(end.details).toContain('page 10');
    const received = new PageBitmap(100);
    received.addRange({ pgoff: 8, pageCount: 10 });
    const good = lab.dial(lab.worker());
    const bits = Buffer.from(received.toBytes());
    good.init(lab.migrationId, BACKGROUND, lab.ram.blocks, {
      generation: 3n,
      received: [{ blockId: 'ram0', bits }],
    });
    lab.session.push();
    await good.eos;
    expect(good.pages.size).toBe(90);
    for (const pgoff of [7, 18, 99]) expectPage(good, 0, pgoff);
  });
});
