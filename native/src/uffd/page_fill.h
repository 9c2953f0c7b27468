#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace umem {

// Memory whose bytes all have one value, to copy pages from. Belongs to one thread.
class PageFill {
 public:
  // Large enough for one 2 MiB huge page, which must be copied in one go.
  static constexpr size_t kCapacity = size_t{2} << 20;

  // `length` (at most kCapacity) bytes of `value`, valid until the next call.
  const uint8_t* Bytes(uint8_t value, size_t length);

 private:
  std::unique_ptr<uint8_t[]> buffer_;
  uint8_t value_ = 0;
  size_t filled_ = 0;  // bytes of buffer_ that hold value_
};

}  // namespace umem
