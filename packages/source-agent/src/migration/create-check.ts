import {
  parseAddress,
  Placement,
  SourceAfter,
  type CreateMigrationRequest,
  type MigrationOptions,
} from '@umem/api';
import { InvalidArgument } from '@umem/errors';
import { isName, NAME_RULE } from '@umem/ram';

/** The only postcopy flag there is: touching requests. */
const FLAG_TOUCH = 1;

const DEFAULT_TIMEOUT_SECONDS = 120;
const MAX_TIMEOUT_SECONDS = 86_400;
const MAX_REQUEST_ID_LENGTH = 128;

/** What the caller chose, with defaults filled in. Throws InvalidArgument, and Unimplemented for an address that no service takes. */
export function checkCreate(request: CreateMigrationRequest): MigrationOptions {
  const { vm, destinationAddress, profile, requestId, options } = request;
  if (!isName(vm)) throw new InvalidArgument(`vm ${JSON.stringify(vm)} is not a VM's name: use ${NAME_RULE}`);
  parseAddress(destinationAddress);
  if (profile !== '' && !isName(profile))
    throw new InvalidArgument(`profile ${JSON.stringify(profile)} is not a profile's name: use ${NAME_RULE}`);
  if (requestId.length > MAX_REQUEST_ID_LENGTH)
    throw new InvalidArgument(
      `request_id has ${requestId.length} characters and ${MAX_REQUEST_ID_LENGTH} is the most: use a UUID`,
    );
  return checkOptions(options);
}

function checkOptions(options: MigrationOptions | undefined): MigrationOptions {
  const {
    noBackground = false,
    postcopyFlags = 0,
    maxBandwidthBytesPerSecond = 0n,
    releaseRam = false,
    sourceAfter = SourceAfter.UNSPECIFIED,
    timeoutSeconds = 0,
    placement: wantedPlacement = Placement.UNSPECIFIED,
  } = options ?? {};
  const placement = checkPlacement(wantedPlacement);
  if ((postcopyFlags & ~FLAG_TOUCH) !== 0)
    throw new InvalidArgument(
      `options.postcopy_flags is ${postcopyFlags}: only bit 0 (touching requests) is known`,
    );
  if (postcopyFlags !== 0 && placement !== Placement.CACHE)
    throw new InvalidArgument(
      `options.postcopy_flags is ${postcopyFlags}: touching requests go with placement CACHE (2) only, and it is ${Placement[placement]}`,
    );
  checkBandwidth('options.max_bandwidth_bytes_per_second', maxBandwidthBytesPerSecond);
  if (timeoutSeconds > MAX_TIMEOUT_SECONDS)
    throw new InvalidArgument(
      `options.timeout_seconds is ${timeoutSeconds} and ${MAX_TIMEOUT_SECONDS} is the most`,
    );
  return {
    noBackground,
    postcopyFlags,
    maxBandwidthBytesPerSecond,
    releaseRam,
    sourceAfter: checkSourceAfter(sourceAfter),
    timeoutSeconds: timeoutSeconds === 0 ? DEFAULT_TIMEOUT_SECONDS : timeoutSeconds,
    placement,
  };
}

/** Throws InvalidArgument. */
export function checkBandwidth(field: string, bytesPerSecond: bigint): void {
  if (bytesPerSecond > BigInt(Number.MAX_SAFE_INTEGER))
    throw new InvalidArgument(`${field} is ${bytesPerSecond}: use 0 for no limit`);
}

function checkPlacement(placement: Placement): Placement {
  switch (placement) {
    case Placement.UNSPECIFIED:
    case Placement.COPY:
      return Placement.COPY;
    case Placement.CACHE:
      return Placement.CACHE;
    default:
      throw new InvalidArgument(`options.placement is ${placement}: use COPY (1) or CACHE (2)`);
  }
}

function checkSourceAfter(sourceAfter: SourceAfter): SourceAfter {
  switch (sourceAfter) {
    case SourceAfter.UNSPECIFIED:
    case SourceAfter.KEEP:
      return SourceAfter.KEEP;
    case SourceAfter.QUIT:
      return SourceAfter.QUIT;
    default:
      throw new InvalidArgument(`options.source_after is ${sourceAfter}: use KEEP (1) or QUIT (2)`);
  }
}
