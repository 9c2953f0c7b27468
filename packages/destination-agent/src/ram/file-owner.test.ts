import { HostPrecondition } from '@umem/errors';
import { describe, expect, it } from 'vitest';
import { resolveOwner } from './file-owner.js';

describe('resolveOwner', () => {
  it('finds a user by name or number, with its own group', async () => {
    expect(await resolveOwner('root')).toEqual({ name: 'root', uid: 0, gid: 0 });
    expect(await resolveOwner('65534')).toMatchObject({ uid: 65534, gid: 65534 });
  });

  it('takes another group, as a VMM needs for /dev/kvm', async () => {
    expect(await resolveOwner('nobody:root')).toEqual({ name: 'nobody:root', uid: 65534, gid: 0 });
  });

  it('says which user or group does not exist', async () => {
    await expect(resolveOwner('no-such-user')).rejects.toThrow(
      /User "no-such-user".*does not exist on this host/,
    );
    await expect(resolveOwner('root:no-such-group')).rejects.toThrow(/Group "no-such-group"/);
  });

  it.each(['', ':', '-s', 'a b', '../etc', 'root:'])('refuses %j, which is no user', async (text) => {
    await expect(resolveOwner(text)).rejects.toThrow(HostPrecondition);
  });
});
