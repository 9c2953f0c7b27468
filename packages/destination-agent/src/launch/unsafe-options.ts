/** An option that a VMM which waits for its pages cannot have. */
export interface UnsafeOption {
  /** The option as it stands in the profile. */
  readonly option: string;
  readonly why: string;
  readonly fix: string;
}

const YES = '(?:on|yes|true|y)';

/** Patterns over one argument; QEMU takes each option as `a,key=value` or as JSON. */
const PATTERNS: readonly { pattern: RegExp; why: string; drop: string }[] = [
  {
    pattern: new RegExp(`(?:^|,)prealloc=${YES}(?:,|$)|"prealloc"\\s*:\\s*true`),
    why: 'preallocation touches every page before faults are answered, so the VMM hangs',
    drop: 'prealloc=on',
  },
  {
    pattern: /^--?mem-prealloc$/,
    why: 'preallocation touches every page before faults are answered, so the VMM hangs',
    drop: '-mem-prealloc',
  },
  {
    pattern: new RegExp(`(?:^|,)(?:mem-lock|mlock)=${YES}(?:,|$)`),
    why: 'locking memory touches every page before faults are answered, so the VMM hangs',
    drop: 'mem-lock=on',
  },
  {
    pattern: /(?:^|,|driver=|")vfio-[a-z]/,
    why: 'VFIO devices pin guest memory, which cannot arrive after the guest',
    drop: 'the VFIO device',
  },
];

/** Options of a profile that post-copy does not survive. */
export function findUnsafeOptions(args: readonly string[]): UnsafeOption[] {
  return args.flatMap((option) =>
    PATTERNS.filter(({ pattern }) => pattern.test(option)).map(({ why, drop }) => ({
      option,
      why,
      fix: `drop ${drop}`,
    })),
  );
}
