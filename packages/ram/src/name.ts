/** Names of VMs, RAM blocks and profiles: safe as file names, never a path. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** What `isName` accepts, for messages to people. */
export const NAME_RULE =
  '1 to 63 letters, digits, dots, underscores or hyphens, starting with a letter or digit';

export function isName(text: string): boolean {
  return NAME.test(text);
}
