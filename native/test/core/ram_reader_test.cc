#include "ram/ram_reader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "expect.h"
#include "os/file.h"

namespace {

constexpr uint64_t kPage = 4096;

uint64_t BlocksOf(int fd) {
  struct stat status;
  EXPECT(fstat(fd, &status) == 0);
  return static_cast<uint64_t>(status.st_blocks);
}

void WritePage(int fd, uint64_t page, int value) {
  std::vector<uint8_t> bytes(kPage, static_cast<uint8_t>(value));
  EXPECT(pwrite(fd, bytes.data(), kPage, static_cast<off_t>(page * kPage)) == static_cast<ssize_t>(kPage));
}

// Pages that are larger than the piece that is looked at in one go.
void TestLargePages() {
  constexpr uint64_t kUnits = 64;  // 256 KiB
  auto fd = umem::CreateMemfd("large", 4 * kUnits * kPage);
  const int file = fd.value().get();
  for (uint64_t unit = 0; unit < kUnits; unit++) WritePage(file, unit, 5);
  WritePage(file, 2 * kUnits - 1, 1);  // zeros and holes, and a one at the end
  WritePage(file, 2 * kUnits, 1);      // differs at once
  for (uint64_t unit = 3 * kUnits; unit < 4 * kUnits; unit++) WritePage(file, unit, 6);
  auto reader = umem::RamReader::Open(std::move(fd.value()), 4 * kUnits * kPage);
  std::vector<int16_t> values(4, 77);
  EXPECT(reader.value().Classify(0, 4, kUnits * kPage, values.data()).ok());
  EXPECT((values == std::vector<int16_t>{5, -1, -1, 6}));
}

}  // namespace

void TestRamReader() {
  TestLargePages();
  auto fd = umem::CreateMemfd("ram", 16 * kPage);
  const int file = fd.value().get();
  WritePage(file, 1, 0);
  WritePage(file, 4, 9);
  WritePage(file, 5, 9);
  EXPECT(pwrite(file, "x", 1, 7 * kPage + 100) == 1);
  auto reader = umem::RamReader::Open(std::move(umem::DuplicateFd(file).value()), 16 * kPage);
  EXPECT(reader.ok());
  const uint64_t blocks = BlocksOf(file);

  std::vector<int16_t> values(16, 77);
  EXPECT(reader.value().Classify(0, 16, kPage, values.data()).ok());
  EXPECT((values == std::vector<int16_t>{0, 0, 0, 0, 9, 9, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0}));
  // Larger pages: half hole and half zeros is zeros, half hole and half nines is mixed.
  values.assign(8, 77);
  EXPECT(reader.value().Classify(0, 8, 2 * kPage, values.data()).ok());
  EXPECT((values == std::vector<int16_t>{0, 0, 9, -1, 0, 0, 0, 0}));
  values.assign(1, 77);
  EXPECT(reader.value().Classify(1, 1, 4 * kPage, values.data()).ok());
  EXPECT(values[0] == -1);

  std::vector<uint8_t> bytes(3 * kPage, 1);
  EXPECT(reader.value().Read(3 * kPage, 3 * kPage, bytes.data()).ok());
  EXPECT(bytes[0] == 0 && bytes[kPage] == 9 && bytes[3 * kPage - 1] == 9);
  EXPECT(BlocksOf(file) == blocks);

  EXPECT(ftruncate(file, 8 * kPage) == 0);
  EXPECT(reader.value().Classify(7, 2, kPage, values.data()).failure().error == ERANGE);
  EXPECT(reader.value().Read(7 * kPage, 2 * kPage, bytes.data()).failure().error == ERANGE);
  reader.value().Close();
  reader.value().Close();
  EXPECT(reader.value().closed());
  EXPECT(umem::RamReader::Open(std::move(fd.value()), 9 * kPage).failure().error == ERANGE);
}
