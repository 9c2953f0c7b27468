#include "ram/data_extents.h"

#include <unistd.h>

#include "expect.h"
#include "os/file.h"

void TestDataExtents() {
  constexpr uint64_t kPage = 4096;
  auto fd = umem::CreateMemfd("extents", 16 * kPage);
  EXPECT(fd.ok());
  EXPECT(umem::DataExtents(fd.value().get(), 16 * kPage).value().empty());
  for (const uint64_t page : {2, 3, 9})
    EXPECT(pwrite(fd.value().get(), "x", 1, static_cast<off_t>(page * kPage)) == 1);
  auto extents = umem::DataExtents(fd.value().get(), 16 * kPage);
  EXPECT(extents.value().size() == 2);
  EXPECT(extents.value()[0].begin == 2 * kPage && extents.value()[0].end == 4 * kPage);
  EXPECT(extents.value()[1].begin == 9 * kPage && extents.value()[1].end == 10 * kPage);
  // Cut at the size that was asked for, and a size past the end of the file is not an endless search.
  EXPECT(umem::DataExtents(fd.value().get(), 3 * kPage).value()[0].end == 3 * kPage);
  EXPECT(umem::DataExtents(fd.value().get(), 1000 * kPage).value().size() == 2);
  EXPECT(umem::PunchHole(fd.value().get(), 2 * kPage, kPage).ok());
  EXPECT(umem::DataExtents(fd.value().get(), 16 * kPage).value()[0].begin == 3 * kPage);
  EXPECT(umem::DataExtents(-1, kPage).failure().error == EBADF);
}
