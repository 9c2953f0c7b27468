#include <cstring>

#include "ram/constant_page.h"

namespace umem {

int ConstantBytePortable(const uint8_t* bytes, size_t length) {
  const uint8_t first = bytes[0];
  const uint64_t expected = 0x0101010101010101u * first;
  for (size_t i = 0; i < length; i += 64) {
    uint64_t words[8];
    // SAFETY: length is a multiple of 64, so the 64 bytes at i are inside.
    std::memcpy(words, bytes + i, sizeof(words));
    uint64_t difference = 0;
    for (const uint64_t word : words) difference |= word ^ expected;
    if (difference != 0) return -1;
  }
  return first;
}

}  // namespace umem
