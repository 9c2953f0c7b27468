#pragma once

#include <cstdint>
#include <vector>

#include "os/result.h"

namespace umem {

// A piece of a file that is there, in bytes: [begin, end).
struct Extent {
  uint64_t begin;
  uint64_t end;
};

// lseek(2) SEEK_DATA: where the first data at or behind `offset` begins; `limit` when there is none before
// it; on hugetlbfs everything is data, also what no page backs. Cheap, unlike SEEK_HOLE, which walks over all
// pages of the data. The file position means nothing to us and may be shared.
Result<uint64_t> NextData(int fd, uint64_t offset, uint64_t limit);

// lseek(2) SEEK_DATA, SEEK_HOLE: all data of the first `size` bytes, in order. EOPNOTSUPP on hugetlbfs, which
// knows no holes.
Result<std::vector<Extent>> DataExtents(int fd, uint64_t size);

}  // namespace umem
