#if defined(__x86_64__)

#include <emmintrin.h>

#include "ram/constant_page.h"

namespace umem {

int ConstantByteSse2(const uint8_t* bytes, size_t length) {
  const __m128i expected = _mm_set1_epi8(static_cast<char>(bytes[0]));
  for (size_t i = 0; i < length; i += 64) {
    // SAFETY: length is a multiple of 64, so the four vectors at i are inside; loads are unaligned.
    const auto* vectors = reinterpret_cast<const __m128i*>(bytes + i);
    const __m128i first = _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(vectors), expected),
                                        _mm_cmpeq_epi8(_mm_loadu_si128(vectors + 1), expected));
    const __m128i second = _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(vectors + 2), expected),
                                         _mm_cmpeq_epi8(_mm_loadu_si128(vectors + 3), expected));
    if (_mm_movemask_epi8(_mm_and_si128(first, second)) != 0xffff) return -1;
  }
  return bytes[0];
}

}  // namespace umem

#endif
