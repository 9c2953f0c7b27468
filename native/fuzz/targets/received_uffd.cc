// A descriptor that a VMM hands over as its userfaultfd, whatever it is. The input: a byte that chooses the
// kind, then a memfd's name or a descriptor's number.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "../target.h"
#include "os/file.h"
#include "uffd/open.h"

namespace {

constexpr size_t kMostNameBytes = 249;  // memfd_create(2)

// Refused, and left as it is.
void ExpectRefused(int fd, int error) {
  const int status_flags = fcntl(fd, F_GETFL);
  const int fd_flags = fcntl(fd, F_GETFD);
  umem::Status prepared = umem::PrepareReceivedUffd(fd);
  PROPERTY(!prepared.ok() && prepared.failure().error == error);
  PROPERTY(fcntl(fd, F_GETFL) == status_flags && fcntl(fd, F_GETFD) == fd_flags);
}

void TryMemfd(const uint8_t* data, size_t size) {
  const std::string name(reinterpret_cast<const char*>(data), std::min(size, kMostNameBytes));
  const umem::UniqueFd memfd(memfd_create(name.c_str(), 0));
  PROPERTY(memfd.valid());
  ExpectRefused(memfd.get(), EINVAL);
}

void TryNumber(const uint8_t* data, size_t size) {
  int fd = -1;
  std::memcpy(&fd, data, std::min(size, sizeof(fd)));
  if (fcntl(fd, F_GETFD) < 0) ExpectRefused(fd, EBADF);
}

void TryRealOne() {
  auto uffd = umem::OpenUffd(umem::UffdRoute::kUserModeOnly);
  if (!uffd.ok()) return;  // a host without
  const int fd = uffd.value().get();
  PROPERTY(fcntl(fd, F_SETFL, 0) == 0 && fcntl(fd, F_SETFD, 0) == 0);
  PROPERTY(umem::PrepareReceivedUffd(fd).ok());
  PROPERTY((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  switch (data[0]) {
    case 0:
      TryRealOne();
      break;
    case 1:
      TryNumber(data + 1, size - 1);
      break;
    default:
      TryMemfd(data + 1, size - 1);
  }
  return 0;
}
