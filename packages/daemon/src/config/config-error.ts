import { InvalidArgument } from '@umem/errors';

/** Settings that a program cannot start with: a sentence per problem. Exit code 2. */
export class ConfigError extends InvalidArgument {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'), { reason: 'CONFIG_INVALID' });
  }
}
