#include "ram/constant_page.h"

namespace umem {
namespace {

using Scan = int (*)(const uint8_t*, size_t);

Scan ChooseScan() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") ? ConstantByteAvx2 : ConstantByteSse2;
#else
  return ConstantBytePortable;
#endif
}

}  // namespace

int ConstantByte(const uint8_t* bytes, size_t length) {
  static const Scan scan = ChooseScan();
  return scan(bytes, length);
}

}  // namespace umem
