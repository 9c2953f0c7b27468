#pragma once

#include <cstddef>
#include <cstdint>

namespace umem {

// Tells whether `length` bytes (a multiple of 4096, not 0) all have one value: 0 to 255, or -1 when
// they differ. Takes the widest instructions of this processor; stops at the first difference.
int ConstantByte(const uint8_t* bytes, size_t length);

// The implementations, for tests. ConstantByteAvx2 needs a processor that has AVX2.
int ConstantBytePortable(const uint8_t* bytes, size_t length);
#if defined(__x86_64__)
int ConstantByteSse2(const uint8_t* bytes, size_t length);
int ConstantByteAvx2(const uint8_t* bytes, size_t length);
#endif

}  // namespace umem
