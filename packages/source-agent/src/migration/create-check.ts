import { parseAddress, SourceAfter, type CreateMigrationRequest, type MigrationOptions } from '@umem/api';
import { InvalidArgument, Unimplemented } from '@umem/errors';
import { isName, NAME_RULE } from '@umem/ram';

/** The only postcopy flag there is: touching requests. */
const FLAG_TOUCH = 1;

const DEFAULT_TIMEOUT_SECONDS = 120;
const MAX_TIMEOUT_SECONDS = 86_400;
const MAX_REQUEST_ID_LENGTH = 128;

/** What the caller chose, with defaults filled in. Throws InvalidArgument or Unimplemented. */
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
  } = options ?? {};
  if ((postcopyFlags & ~FLAG_TOUCH) !== 0)
    throw new InvalidArgument(
      `options.postcopy_flags is ${postcopyFlags}: only bit 0 (touching requests) is known`,
    );
  if (postcopyFlags !== 0)
    throw new Unimplemented(
      'options.postcopy_flags 1 (touching requests) needs cache placement, which this version does not have: use 0',
    );
  if (releaseRam)
    throw new Unimplemented(
      'options.release_ram is not done by this version: source pages stay until the migration completes',
    );
  if (maxBandwidthBytesPerSecond > BigInt(Number.MAX_SAFE_INTEGER))
    throw new InvalidArgument(
      `options.max_bandwidth_bytes_per_second is ${maxBandwidthBytesPerSecond}: use 0 for no limit`,
    );
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
  };
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
