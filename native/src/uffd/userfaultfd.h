#pragma once

#include <cstddef>
#include <cstdint>

#include "os/result.h"
#include "os/unique_fd.h"
#include "uffd/page_fill.h"

namespace umem {

// What a place ioctl did. `error` is 0 when all bytes are in place.
struct PlaceResult {
  uint64_t placed_bytes;
  int error;
};

// A userfaultfd. Methods are named after their ioctl; ioctl_userfaultfd(2). Addresses are those of
// the process that made the descriptor.
class Userfaultfd {
 public:
  explicit Userfaultfd(UniqueFd fd) : fd_(std::move(fd)) {}

  // UFFDIO_REGISTER with UFFDIO_REGISTER_MODE_MISSING; answers with the mask of the range's ioctls.
  Result<uint64_t> Register(uint64_t address, uint64_t length);
  // UFFDIO_UNREGISTER.
  Status Unregister(uint64_t address, uint64_t length);
  // UFFDIO_COPY, one ioctl. `source` need not be aligned.
  PlaceResult Copy(uint64_t address, const uint8_t* source, uint64_t length);
  // UFFDIO_ZEROPAGE, one ioctl.
  PlaceResult Zeropage(uint64_t address, uint64_t length);
  // UFFDIO_COPY of pages of one value, as many as it takes; stops at the first that fails.
  PlaceResult Fill(uint64_t address, uint8_t value, uint64_t length);
  // UFFDIO_WAKE.
  Status Wake(uint64_t address, uint64_t length);

  int fd() const { return fd_.get(); }
  bool closed() const { return !fd_.valid(); }
  void Close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  PageFill fill_;
};

}  // namespace umem
