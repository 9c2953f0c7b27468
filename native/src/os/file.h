#pragma once

#include <cstdint>

#include "os/result.h"
#include "os/unique_fd.h"

namespace umem {

// fcntl(2) F_DUPFD_CLOEXEC.
Result<UniqueFd> DuplicateFd(int fd);
// close(2), for a descriptor that JavaScript owns.
Status CloseFd(int fd);
// fstat(2): size of a file in bytes.
Result<uint64_t> FileSize(int fd);
// memfd_create(2) with close-on-exec, then ftruncate(2).
Result<UniqueFd> CreateMemfd(const char* name, uint64_t size);
// fallocate(2) FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE.
Status PunchHole(int fd, uint64_t offset, uint64_t length);

}  // namespace umem
