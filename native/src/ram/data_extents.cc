#include "ram/data_extents.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

namespace umem {

Result<uint64_t> NextData(int fd, uint64_t offset, uint64_t limit) {
  const off_t data = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) return limit;  // nothing but holes from here on
  if (data < 0) return LastFailure("lseek");
  return std::min(static_cast<uint64_t>(data), limit);
}

Result<std::vector<Extent>> DataExtents(int fd, uint64_t size) {
  struct statfs status;
  if (fstatfs(fd, &status) != 0) return LastFailure("fstatfs");
  // There the kernel calls every byte data, also those of pages that do not exist.
  if (status.f_type == HUGETLBFS_MAGIC) return Failure{"lseek", EOPNOTSUPP};
  std::vector<Extent> extents;
  for (uint64_t offset = 0; offset < size;) {
    auto begin = NextData(fd, offset, size);
    if (!begin.ok()) return begin.failure();
    if (begin.value() == size) break;
    const off_t hole = lseek(fd, static_cast<off_t>(begin.value()), SEEK_HOLE);
    if (hole < 0 && errno == ENXIO) break;  // the file was cut behind our back, the data is gone again
    if (hole < 0) return LastFailure("lseek");
    offset = std::min(static_cast<uint64_t>(hole), size);
    // Nothing when the data was punched out between the two calls.
    if (begin.value() < offset) extents.push_back({begin.value(), offset});
  }
  return extents;
}

}  // namespace umem
