#if defined(__x86_64__)

#include <immintrin.h>

#include "ram/constant_page.h"

namespace umem {

// Compiled for AVX2 whatever the baseline is; called only after the processor was asked.
__attribute__((target("avx2"))) int ConstantByteAvx2(const uint8_t* bytes, size_t length) {
  const __m256i expected = _mm256_set1_epi8(static_cast<char>(bytes[0]));
  for (size_t i = 0; i < length; i += 128) {
    // SAFETY: length is a multiple of 128, so the four vectors at i are inside; loads are unaligned.
    const auto* vectors = reinterpret_cast<const __m256i*>(bytes + i);
    const __m256i first = _mm256_or_si256(_mm256_xor_si256(_mm256_loadu_si256(vectors), expected),
                                          _mm256_xor_si256(_mm256_loadu_si256(vectors + 1), expected));
    const __m256i second = _mm256_or_si256(_mm256_xor_si256(_mm256_loadu_si256(vectors + 2), expected),
                                           _mm256_xor_si256(_mm256_loadu_si256(vectors + 3), expected));
    const __m256i difference = _mm256_or_si256(first, second);
    if (!_mm256_testz_si256(difference, difference)) return -1;
  }
  return bytes[0];
}

}  // namespace umem

#endif
