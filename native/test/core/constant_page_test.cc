#include "ram/constant_page.h"

#include <cstring>
#include <memory>

#include "expect.h"

namespace {

constexpr size_t kPage = 4096;

// On the heap, exactly as long as a page, so that the address sanitizer sees a byte too many being read.
void ExpectSame(int (*scan)(const uint8_t*, size_t)) {
  std::unique_ptr<uint8_t[]> page(new uint8_t[kPage]);
  for (int value = 0; value < 256; value++) {
    std::memset(page.get(), value, kPage);
    EXPECT(scan(page.get(), kPage) == value);
  }
  std::memset(page.get(), 7, kPage);
  for (size_t i = 0; i < kPage; i++) {
    page[i] = 8;
    EXPECT(scan(page.get(), kPage) == -1);
    page[i] = 7;
  }
  EXPECT(scan(page.get(), kPage) == 7);
}

}  // namespace

void TestConstantPage() {
  ExpectSame(umem::ConstantByte);
  ExpectSame(umem::ConstantBytePortable);
#if defined(__x86_64__)
  ExpectSame(umem::ConstantByteSse2);
  if (__builtin_cpu_supports("avx2")) ExpectSame(umem::ConstantByteAvx2);
#endif
}
