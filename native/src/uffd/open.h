#pragma once

#include <cstdint>

#include "os/result.h"
#include "os/unique_fd.h"

namespace umem {

// Ways to make a userfaultfd, best first. userfaultfd(2).
enum class UffdRoute {
  kSyscall,       // needs CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1
  kDevice,        // /dev/userfaultfd, needs access to the file; kernel 6.1
  kUserModeOnly,  // UFFD_USER_MODE_ONLY: open to all, does not see faults in the kernel (KVM)
};

// userfaultfd(2) or USERFAULTFD_IOC_NEW: a close-on-exec, non-blocking descriptor, before UFFDIO_API.
Result<UniqueFd> OpenUffd(UffdRoute route);

// UFFDIO_API, ioctl_userfaultfd(2): asks for features; answers with all that the kernel supports.
Result<uint64_t> NegotiateFeatures(int fd, uint64_t features);

// EINVAL unless the descriptor is a userfaultfd; then makes it close-on-exec and non-blocking, for
// epoll reports nothing but an error on a blocking one.
Status PrepareReceivedUffd(int fd);

}  // namespace umem
