#pragma once

#include <cstdint>

namespace umem {

// The protocol's page, and the smallest one that memory is placed and classified in.
inline constexpr uint64_t kPageSize = 4096;

}  // namespace umem
