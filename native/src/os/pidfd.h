#pragma once

#include <sys/types.h>

#include "os/result.h"
#include "os/unique_fd.h"

namespace umem {

// pidfd_open(2). Close-on-exec.
Result<UniqueFd> PidfdOpen(pid_t pid);
// pidfd_getfd(2): a copy of a descriptor of that process. Close-on-exec.
Result<UniqueFd> PidfdGetfd(int pidfd, int target_fd);

}  // namespace umem
