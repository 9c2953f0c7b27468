/**
 * The whole native boundary, in the order of the C++ exports. Defaults, validation and meaning
 * live in TypeScript; what is declared here does one thing each and throws a `NativeError`
 * (code `ERR_UMEM_NATIVE`, with `syscall`, `errno` and `errnoName`) when a system call fails.
 *
 * Addresses in another process are `bigint`; sizes and file offsets are `number` (below 2^53).
 * Every `close()` is idempotent; a method called after it throws. Objects belong to the thread
 * that made them; descriptors may be shared between threads of the process.
 */

/** What a place ioctl did: a value, not an exception, for it happens on the fault path. */
export interface PlaceResult {
  /** Bytes that are in place now, counted from the start; may be less than asked for. */
  placedBytes: number;
  /**
   * 0 when all bytes were placed, else the errno of the ioctl (EEXIST, EAGAIN, ENOENT, ESRCH …). A
   * copy that meets a page which is already there stops before it with EAGAIN and what it placed;
   * only a copy that starts at such a page says EEXIST, and so may a fill, which is several copies.
   */
  errno: number;
}

/** Fields of one event in the array that `NativeUserfaultfd.startEvents` fills. */
export const EVENT_FIELDS = 4;

/** `kind` of an event: the kernel's UFFD_EVENT_* value. */
export const EVENT_KIND = { pagefault: 0x12, fork: 0x13, remap: 0x14, remove: 0x15, unmap: 0x16 } as const;

/** A userfaultfd, owned by this object. userfaultfd(2), ioctl_userfaultfd(2). */
export interface NativeUserfaultfd {
  /** As it was when opened; not to be used after `close`. */
  readonly fd: number;
  /** Feature bits that were negotiated by `createUserfaultfd`; 0n for an adopted descriptor. */
  readonly features: bigint;
  /** UFFDIO_REGISTER with mode MISSING; answers with the ioctls bit mask of the range. */
  register(address: bigint, lengthBytes: number): bigint;
  /** UFFDIO_UNREGISTER: the range becomes plain memory and all its waiters wake (absent pages read as zeros). */
  unregister(address: bigint, lengthBytes: number): void;
  /** UFFDIO_COPY: one ioctl; wakes waiters. `source` need not be aligned. */
  copy(address: bigint, source: Uint8Array, sourceOffset: number, lengthBytes: number): PlaceResult;
  /** UFFDIO_ZEROPAGE: one ioctl; wakes waiters. Not for hugetlbfs. */
  zeropage(address: bigint, lengthBytes: number): PlaceResult;
  /** Like `copy`, for pages whose bytes all have one value (0 to 255). */
  fill(address: bigint, value: number, lengthBytes: number): PlaceResult;
  /** UFFDIO_WAKE: wakes waiters without placing anything. */
  wake(address: bigint, lengthBytes: number): void;
  /**
   * Calls back on the event loop whenever events can be read (uv_poll), with up to
   * `maxEvents` (1 to 65536) of them: event i has kind, address (or start), second argument
   * (pagefault: flags; remove/unmap: end; remap: new address) and thread id (0 unless it is a
   * pagefault of a descriptor with `threadId`; remap: length in bytes) at [4i .. 4i+3]. A fork has a
   * descriptor of the child's own userfaultfd as its address, which the callee owns. The array is reused once
   * `onEvents` has returned. `onError` gets the error that ended polling; a process that exits is
   * no error and no event: its ioctls say ESRCH. Keeps the event loop alive until `stopEvents` or
   * `close`. Whatever a callback throws is an uncaught exception of its thread.
   */
  startEvents(
    maxEvents: number,
    onEvents: (events: BigUint64Array, count: number) => void,
    onError: (error: Error) => void,
  ): void;
  /**
   * Like `startEvents`, but reads nothing by itself: `onReadable` is called while events wait, and calls
   * `drainEvents` when it wants them. For who must do something before a thread of the process runs on.
   */
  watchEvents(
    maxEvents: number,
    onReadable: () => void,
    onEvents: (events: BigUint64Array, count: number) => void,
    onError: (error: Error) => void,
  ): void;
  /**
   * Reads all pending events at once into `onEvents`; answers how many. After ioctls that a
   * pending REMOVE has made fail with EAGAIN. May be called inside `onEvents`, whose array stays
   * as it is. What `onEvents` throws goes to the caller. Ioctls may go on saying EAGAIN for the
   * moment it takes the thread that removes pages to run again.
   */
  drainEvents(): number;
  /** Stops polling; unread events stay in the kernel. */
  stopEvents(): void;
  close(): void;
}

/**
 * How a userfaultfd can be made here: 'syscall', 'device' (/dev/userfaultfd), 'user-mode-only'
 * (does not see faults of the kernel, so not those of KVM), or null. Routes that were not refused
 * or not needed have errno 0. `features` is what the kernel supports; 0n when there is no route.
 */
export interface UserfaultfdProbe {
  route: 'syscall' | 'device' | 'user-mode-only' | null;
  syscallErrno: number;
  deviceErrno: number;
  features: bigint;
}

/**
 * A reader of one RAM file: the source's guest RAM. pread(2), lseek(2) SEEK_DATA; it never
 * allocates pages in holes, and a file that is truncated makes it throw.
 */
export interface NativeRamReader {
  readonly sizeBytes: number;
  /**
   * Says for each of `pageCount` pages from `firstPage` what it holds: out[i] = 0..255 when all
   * bytes have that value, -1 otherwise. Pages in holes of the file are 0 and stay holes.
   * `pageSizeBytes` is a multiple of 4096. Throws when the file was truncated.
   */
  classify(firstPage: number, pageCount: number, pageSizeBytes: number, out: Int16Array): void;
  /** Copies bytes [offset, offset + lengthBytes) to `target` at `targetOffset`. Holes are zeros and stay holes. */
  read(offset: number, lengthBytes: number, target: Uint8Array, targetOffset: number): void;
  close(): void;
}

/** A shared mapping of a RAM file, which nothing ever reads or writes through. mmap(2). */
export interface NativeFileMapping {
  readonly address: bigint;
  readonly sizeBytes: number;
  /** Unmaps it: not before every userfaultfd that it is registered with is done. */
  close(): void;
}

/** Process that connected to a Unix socket. SO_PEERCRED, unix(7). */
export interface PeerCredentials {
  pid: number;
  uid: number;
  gid: number;
}

/** An accepted Unix stream connection that can carry descriptors. */
export interface NativeUnixConnection {
  readonly peer: PeerCredentials;
  /**
   * Starts reading. `onData` gets each chunk with the descriptors that came with it (received
   * close-on-exec, owned by the callee). `onClose` is called once, when nothing more will be read:
   * with null at end of file, else with the error; not after `close`. A message with more
   * than 64 descriptors, or with one for which there was no room, is such an error
   * (recvmsg EMSGSIZE) and none of its descriptors stays open. Keeps the event loop alive
   * until `onClose` or `close`.
   */
  start(onData: (bytes: Buffer, fds: number[]) => void, onClose: (error: Error | null) => void): void;
  /** Sends all bytes or throws (EAGAIN when the peer does not read: messages here are short). Legal after end of file. */
  write(bytes: Uint8Array): void;
  close(): void;
}

/** A listening Unix stream socket. */
export interface NativeUnixListener {
  /** Stops listening and removes the socket file. */
  close(): void;
}

/** A socket as `inspectSocket` finds it. socket(7). */
export interface SocketFacts {
  /** AF_*: 1 is a Unix socket, 2 and 10 are IP. */
  domain: number;
  /** SOCK_*: 1 is a stream. */
  type: number;
  listening: boolean;
  connected: boolean;
  /** False when nothing will arrive any more. */
  canReceive: boolean;
  /** False when nothing can be sent any more, and for what is no stream. */
  canSend: boolean;
}

export interface NativeAddon {
  /** Makes a userfaultfd (close-on-exec, non-blocking) with exactly the asked features. */
  createUserfaultfd(features: bigint): NativeUserfaultfd;
  /**
   * Takes over a received descriptor and makes it non-blocking; throws EINVAL when it is not a
   * userfaultfd, and then it still belongs to the caller.
   */
  adoptUserfaultfd(fd: number): NativeUserfaultfd;
  /** Tries each way of making a userfaultfd; has no lasting effect. */
  probeUserfaultfd(): UserfaultfdProbe;

  /** Opens the first `sizeBytes` of `fd` for reading (the descriptor is duplicated); ERANGE when the file is shorter. */
  openRamReader(fd: number, sizeBytes: number): NativeRamReader;
  /**
   * Data extents of a file: [start0, end0, start1, end1, …] in bytes. SEEK_DATA, SEEK_HOLE. Throws
   * EOPNOTSUPP on hugetlbfs, where the kernel calls pages data that do not exist.
   */
  dataExtents(fd: number, sizeBytes: number): Float64Array;

  /** Maps the first `sizeBytes` of `fd`, shared, for a userfaultfd to place through; ERANGE when the file is shorter. */
  mapFile(fd: number, sizeBytes: number): NativeFileMapping;
  /**
   * Lets this process's page tables forget pages of a `NativeFileMapping`, which the file keeps: placing
   * through a mapping would make the process look as large as the file. madvise(2) MADV_DONTNEED; any thread.
   */
  forgetMapped(address: bigint, lengthBytes: number): void;

  /**
   * Creates, binds (mode as given, a stale socket file is replaced, EADDRINUSE when somebody
   * listens there or it is no socket) and listens. `onError` gets the error of an accept that failed;
   * listening goes on unless the listener was closed.
   */
  listenUnix(
    path: string,
    mode: number,
    onConnection: (connection: NativeUnixConnection) => void,
    onError: (error: Error) => void,
  ): NativeUnixListener;

  /** pidfd_open(2). */
  pidfdOpen(pid: number): number;
  /** pidfd_getfd(2): a descriptor of another process. */
  pidfdGetfd(pidfd: number, targetFd: number): number;
  /** dup with close-on-exec. fcntl(2) F_DUPFD_CLOEXEC. */
  dupFd(fd: number): number;
  closeFd(fd: number): void;
  /** memfd_create(2) with close-on-exec, of the given size. */
  createMemfd(name: string, sizeBytes: number): number;
  /** fallocate(2) FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE. */
  punchHole(fd: number, offset: number, lengthBytes: number): void;
  /** What a socket is and what can go over it; moves no byte. Throws ENOTSOCK for what is no socket. getsockopt(2). */
  inspectSocket(fd: number): SocketFacts;
}

/** What the addon really exports: `load.ts` tells it once which class its errors are. */
export interface AddonExports extends NativeAddon {
  setErrorClass(errorClass: new (syscall: string, errno: number, detail: string) => Error): void;
}
