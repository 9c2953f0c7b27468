#include "os/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace umem {

Result<UniqueFd> DuplicateFd(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return LastFailure("fcntl");
  return copy;
}

Status CloseFd(int fd) {
  if (close(fd) != 0) return LastFailure("close");
  return Done{};
}

Result<uint64_t> FileSize(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return LastFailure("fstat");
  return static_cast<uint64_t>(status.st_size);
}

Result<UniqueFd> CreateMemfd(const char* name, uint64_t size) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC));
  if (!fd.valid()) return LastFailure("memfd_create");
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return LastFailure("ftruncate");
  return fd;
}

Status PunchHole(int fd, uint64_t offset, uint64_t length) {
  const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
    return LastFailure("fallocate");
  }
  return Done{};
}

}  // namespace umem
