import { formatAddress, parseLaneAddress, type LaneTarget } from '@umem/api';
import { HostPrecondition, InvalidArgument, PermissionDenied } from '@umem/errors';
import { adoptDescriptor, findSocketProblem, native } from '@umem/native';

/**
 * The connected sockets that this process was started with for lanes, each for one lane: `fd:N` in a lane
 * target is one of these, by the number that it had at the start, or is refused. Main event loop only.
 */
class LaneDescriptors {
  /** By that number: the descriptor it has now; null once a lane has taken it. */
  readonly #descriptors = new Map<number, number | null>();

  /**
   * Takes descriptors over before the process opens anything that could get their numbers. Throws
   * HostPrecondition, and then leaves all of them as they are.
   */
  adopt(fds: readonly number[]): void {
    const repeated = fds.find((fd, i) => fds.indexOf(fd) !== i);
    if (repeated !== undefined)
      throw new InvalidArgument(`--lane-fds names descriptor ${repeated} twice: it carries one lane`);
    for (const fd of fds) {
      const problem = findSocketProblem(fd);
      if (problem !== null) throw new HostPrecondition(`--lane-fds cannot be used: ${problem}`);
    }
    for (const fd of fds) this.#descriptors.set(fd, adoptDescriptor(fd));
  }

  /** Closes those that no lane has taken. */
  close(fds: readonly number[]): void {
    for (const fd of fds) {
      const own = this.#descriptors.get(fd);
      if (typeof own === 'number') native.closeFd(own);
      this.#descriptors.delete(fd);
    }
  }

  /**
   * Checks the addresses of a target. Throws InvalidArgument for one that is none or a descriptor that is
   * named twice, PermissionDenied for a descriptor that the operator has not given, HostPrecondition for
   * one that was used or has been cut meanwhile.
   */
  check(target: LaneTarget): void {
    const fds = descriptorsOf(target);
    const repeated = fds.find((fd, i) => fds.indexOf(fd) !== i);
    if (repeated !== undefined)
      throw new InvalidArgument(
        `fd:${repeated} is named for two lanes: each lane needs a descriptor of its own`,
      );
    for (const fd of fds) {
      const problem = findSocketProblem(this.#require(fd), `fd:${fd}`);
      if (problem === null) continue;
      throw new HostPrecondition(`Cannot open a lane: ${problem}. Or give another source address`);
    }
  }

  /** The descriptor for the lane at `address`, which owns it from now on; null for an address to connect to. */
  take(address: string): number | null {
    const parsed = parseLaneAddress(address);
    if (parsed.kind !== 'fd') return null;
    const own = this.#require(parsed.fd);
    this.#descriptors.set(parsed.fd, null);
    return own;
  }

  #require(fd: number): number {
    const own = this.#descriptors.get(fd);
    if (own === undefined)
      throw new PermissionDenied(
        `fd:${fd} is not for lanes here: only descriptors that this page server was started with in --lane-fds are`,
      );
    if (own === null)
      throw new HostPrecondition(
        `fd:${fd} has been used: a descriptor is one connection, which cannot be made again. Give another source address`,
      );
    return own;
  }
}

/** The list of this process, for descriptors are the process's. */
export const laneDescriptors = new LaneDescriptors();

/** Descriptors among the addresses of a target. Throws InvalidArgument and Unimplemented for what is no address. */
export function descriptorsOf({ demandAddress, backgroundAddresses }: LaneTarget): number[] {
  return [demandAddress, ...backgroundAddresses]
    .map(parseLaneAddress)
    .flatMap((address) => (address.kind === 'fd' ? [address.fd] : []));
}

/** "fd:3 and fd:4", for messages. */
export function nameDescriptors(fds: readonly number[]): string {
  return fds.map((fd) => formatAddress({ kind: 'fd', fd })).join(' and ');
}
