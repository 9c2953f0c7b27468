#include "os/pidfd.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace umem {

Result<UniqueFd> PidfdOpen(pid_t pid) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return LastFailure("pidfd_open");
  return fd;
}

Result<UniqueFd> PidfdGetfd(int pidfd, int target_fd) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, target_fd, 0)));
  if (!fd.valid()) return LastFailure("pidfd_getfd");
  return fd;
}

}  // namespace umem
