#include "uffd/userfaultfd.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace umem {
namespace {

// The kernel reports a count or a negative errno; before it looks at the range it reports nothing.
uint64_t Count(int64_t reported) { return reported > 0 ? static_cast<uint64_t>(reported) : 0; }

}  // namespace

Result<uint64_t> Userfaultfd::Register(uint64_t address, uint64_t length) {
  uffdio_register request{};
  request.range = {address, length};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (ioctl(fd_.get(), UFFDIO_REGISTER, &request) != 0) return LastFailure("UFFDIO_REGISTER");
  return static_cast<uint64_t>(request.ioctls);
}

Status Userfaultfd::Unregister(uint64_t address, uint64_t length) {
  uffdio_range range{address, length};
  if (ioctl(fd_.get(), UFFDIO_UNREGISTER, &range) != 0) return LastFailure("UFFDIO_UNREGISTER");
  return Done{};
}

PlaceResult Userfaultfd::Copy(uint64_t address, const uint8_t* source, uint64_t length) {
  uffdio_copy request{};
  request.dst = address;
  // SAFETY: the caller keeps `length` bytes at `source` alive; the kernel answers EFAULT otherwise.
  request.src = reinterpret_cast<uintptr_t>(source);
  request.len = length;
  if (ioctl(fd_.get(), UFFDIO_COPY, &request) == 0) return {length, 0};
  return {Count(request.copy), errno};
}

PlaceResult Userfaultfd::Zeropage(uint64_t address, uint64_t length) {
  uffdio_zeropage request{};
  request.range = {address, length};
  if (ioctl(fd_.get(), UFFDIO_ZEROPAGE, &request) == 0) return {length, 0};
  return {Count(request.zeropage), errno};
}

PlaceResult Userfaultfd::Fill(uint64_t address, uint8_t value, uint64_t length) {
  uint64_t placed = 0;
  while (placed < length) {
    const uint64_t chunk = std::min<uint64_t>(length - placed, PageFill::kCapacity);
    const PlaceResult result = Copy(address + placed, fill_.Bytes(value, chunk), chunk);
    placed += result.placed_bytes;
    if (result.error != 0) return {placed, result.error};
  }
  return {placed, 0};
}

Status Userfaultfd::Wake(uint64_t address, uint64_t length) {
  uffdio_range range{address, length};
  if (ioctl(fd_.get(), UFFDIO_WAKE, &range) != 0) return LastFailure("UFFDIO_WAKE");
  return Done{};
}

}  // namespace umem
