import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { native } from '../ts/index.js';

const PAGE = 4096;
const uffd = native.createUserfaultfd(0n);
const memfd = native.createMemfd('arguments', 16 * PAGE);
const reader = native.openRamReader(memfd, 16 * PAGE);

afterAll(() => {
  uffd.close();
  reader.close();
  native.closeFd(memfd);
});

describe('bad arguments', () => {
  it('are named with their numbers', () => {
    const bytes = new Uint8Array(2 * PAGE);
    const cases: [() => unknown, new () => Error, string][] = [
      [
        () => uffd.copy(0x1000n, bytes, 1, 2 * PAGE),
        RangeError,
        '8192 bytes at offset 1 are not all inside source, which has 8192 bytes',
      ],
      [() => uffd.copy(0x1000n, bytes, 2 ** 53 - 1, PAGE), RangeError, 'not all inside source'],
      [
        () => uffd.copy(0x1000n, bytes, -1, PAGE),
        RangeError,
        'sourceOffset is -1, not an integer from 0 to 9007199254740991',
      ],
      [
        () => uffd.copy(0x1001n, bytes, 0, PAGE),
        RangeError,
        '4096 bytes at 0x1001 does not consist of whole pages',
      ],
      [
        () => uffd.copy(0x1000n, bytes, 0, 100),
        RangeError,
        '100 bytes at 0x1000 does not consist of whole pages',
      ],
      [() => uffd.copy(0x1000n, bytes, 0, 0), RangeError, 'whole pages'],
      [() => uffd.copy(-4096n, bytes, 0, PAGE), RangeError, 'address is negative or does not fit 64 bits'],
      [() => uffd.copy(1n << 64n, bytes, 0, PAGE), RangeError, 'does not fit'],
      [() => uffd.zeropage(0xffff_ffff_ffff_f000n, 2 * PAGE), RangeError, 'ends behind the address space'],
      [() => uffd.fill(0x1000n, 256, PAGE), RangeError, 'value is 256, not an integer from 0 to 255'],
      [() => uffd.wake(0x1000n, 1.5), RangeError, 'lengthBytes is 1.5'],
      [() => uffd.wake(0x1000n, NaN), RangeError, 'lengthBytes is nan'],
      [
        () =>
          uffd.startEvents(
            0,
            () => 0,
            () => 0,
          ),
        RangeError,
        'maxEvents is 0, not an integer from 1 to 65536',
      ],
      [
        () => reader.classify(15, 2, PAGE, new Int16Array(2)),
        RangeError,
        '2 pages from page 15 are not all inside the RAM block, which has 16',
      ],
      [() => reader.classify(0, 2, PAGE, new Int16Array(1)), RangeError, 'out has 1 elements, 2 are needed'],
      [() => reader.classify(0, 1, 5000, new Int16Array(1)), RangeError, 'pageSizeBytes is 5000'],
      [() => reader.classify(2 ** 52, 1, 2 ** 52, new Int16Array(1)), RangeError, 'not all inside'],
      [
        () => reader.read(16 * PAGE, 1, bytes, 0),
        RangeError,
        '1 bytes at offset 65536 are not all inside the RAM block',
      ],
      [
        () => reader.read(0, 10, bytes, 2 * PAGE - 9),
        RangeError,
        '10 bytes at offset 8183 are not all inside target',
      ],
      [() => native.closeFd(-1), RangeError, 'fd is -1'],
      [() => native.pidfdOpen(0), RangeError, 'pid is 0'],
      [() => native.createMemfd('a\0b', PAGE), TypeError, 'NUL'],
      [
        () =>
          native.listenUnix(
            '',
            0o600,
            () => 0,
            () => 0,
          ),
        TypeError,
        'path must be a string that is not empty',
      ],
      [
        () =>
          native.listenUnix(
            '/tmp/x',
            0o1000,
            () => 0,
            () => 0,
          ),
        RangeError,
        'mode is 512',
      ],
    ];
    for (const [call, type, message] of cases) {
      expect(call).toThrow(type);
      expect(call).toThrow(message);
    }
  });

  it('of any kind never do more than throw', () => {
    const values = fc.oneof(
      fc.anything({ withBigInt: true, withTypedArray: true, withDate: true, withNullPrototype: true }),
      fc.constantFrom(0, 1, PAGE, 2 ** 53, -1, 0.5, NaN, Infinity, 0n, 0x1000n, -1n, 1n << 70n),
      fc.constantFrom(new Uint8Array(PAGE), new Int16Array(4), new Uint8Array(new SharedArrayBuffer(PAGE))),
    );
    const methods: ((...values: unknown[]) => unknown)[] = [
      ...['register', 'unregister', 'copy', 'zeropage', 'fill', 'wake', 'startEvents', 'drainEvents'].map(
        (name) => methodOf(uffd, name),
      ),
      ...['classify', 'read'].map((name) => methodOf(reader, name)),
      ...['createUserfaultfd', 'openRamReader', 'createMemfd', 'listenUnix', 'pidfdOpen', 'dataExtents'].map(
        (name) => methodOf(native, name),
      ),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...methods), fc.array(values, { maxLength: 5 }), (method, given) => {
        try {
          closeResult(method(...given));
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('of a foreign object or a class called by hand are refused', () => {
    const other = native.openRamReader(memfd, PAGE);
    const receivers: unknown[] = [undefined, null, {}, other, native, Object.create(uffd)];
    for (const name of ['copy', 'register', 'startEvents', 'close']) {
      const method = rawMethodOf(uffd, name);
      for (const receiver of receivers) {
        expect(() => {
          Reflect.apply(method, receiver, [0x1000n, new Uint8Array(PAGE), 0, PAGE]);
        }).toThrow(TypeError);
      }
    }
    other.close();
    expect(() => {
      Reflect.construct(uffd.constructor, []);
    }).toThrow('Illegal constructor');
  });

  it('include a buffer that was taken away', () => {
    const bytes = new Uint8Array(PAGE);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(() => uffd.copy(0x1000n, bytes, 0, PAGE)).toThrow('source, which has 0 bytes');
    expect(() => reader.read(0, 1, bytes, 0)).toThrow('target, which has 0 bytes');
  });
});

function rawMethodOf(object: object, name: string): (...values: unknown[]) => unknown {
  const method: unknown = Reflect.get(object, name);
  if (!isMethod(method)) throw new Error(`No method ${name}`);
  return method;
}

function isMethod(value: unknown): value is (...values: unknown[]) => unknown {
  return typeof value === 'function';
}

function methodOf(object: object, name: string): (...values: unknown[]) => unknown {
  return rawMethodOf(object, name).bind(object);
}

/** What a call happens to have opened. */
function closeResult(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('close' in result)) return;
  if (typeof result.close === 'function') Reflect.apply(result.close, result, []);
}
