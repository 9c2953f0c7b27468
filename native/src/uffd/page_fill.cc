#include "uffd/page_fill.h"

#include <cstring>

namespace umem {

const uint8_t* PageFill::Bytes(uint8_t value, size_t length) {
  // Not value-initialised: the kernel gives the buffer pages only as far as they are used.
  if (!buffer_) buffer_.reset(new uint8_t[kCapacity]);
  if (value != value_) filled_ = 0;
  if (length > filled_) {
    // SAFETY: filled_ < length <= kCapacity, the size of the buffer.
    std::memset(buffer_.get() + filled_, value, length - filled_);
    filled_ = length;
  }
  value_ = value;
  return buffer_.get();
}

}  // namespace umem
