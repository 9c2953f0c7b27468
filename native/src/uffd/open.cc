#include "uffd/open.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

namespace umem {
namespace {

constexpr int kFlags = O_CLOEXEC | O_NONBLOCK;

Result<UniqueFd> OpenBySyscall(int extra_flags) {
  UniqueFd fd(static_cast<int>(syscall(SYS_userfaultfd, kFlags | extra_flags)));
  if (!fd.valid()) return LastFailure("userfaultfd");
  return fd;
}

Result<UniqueFd> OpenByDevice() {
  UniqueFd device(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (!device.valid()) return LastFailure("open");
  UniqueFd fd(ioctl(device.get(), USERFAULTFD_IOC_NEW, kFlags));
  if (!fd.valid()) return LastFailure("USERFAULTFD_IOC_NEW");
  return fd;
}

}  // namespace

Result<UniqueFd> OpenUffd(UffdRoute route) {
  switch (route) {
    case UffdRoute::kSyscall:
      return OpenBySyscall(0);
    case UffdRoute::kDevice:
      return OpenByDevice();
    case UffdRoute::kUserModeOnly:
      return OpenBySyscall(UFFD_USER_MODE_ONLY);
  }
  return Failure{"userfaultfd", EINVAL};
}

Result<uint64_t> NegotiateFeatures(int fd, uint64_t features) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  if (ioctl(fd, UFFDIO_API, &api) != 0) return LastFailure("UFFDIO_API");
  return static_cast<uint64_t>(api.features);
}

Status PrepareReceivedUffd(int fd) {
  char link[64];
  char target[64];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, target, sizeof(target));
  if (length < 0) return Failure{"adopt userfaultfd", errno == ENOENT ? EBADF : errno};
  if (std::string_view(target, static_cast<size_t>(length)) != "anon_inode:[userfaultfd]") {
    return Failure{"adopt userfaultfd", EINVAL};
  }
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return LastFailure("fcntl");
  }
  return Done{};
}

}  // namespace umem
