// Guest RAM, whose contents and holes the guest chooses, as it is read for sending. The input: the size of
// the file, the pages that are asked for, then steps of three bytes that change the file; a model has the
// same bytes.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "../target.h"
#include "os/file.h"
#include "ram/constant_page.h"
#include "ram/data_extents.h"
#include "ram/ram_reader.h"

namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kMostPages = 40;  // some more than are looked at in one go
constexpr size_t kMostSteps = 64;

using Bytes = std::vector<uint8_t>;

void Put(int file, Bytes* model, uint64_t offset, uint64_t length, uint8_t value) {
  if (offset + length > model->size()) return;
  const Bytes bytes(length, value);
  PROPERTY(pwrite(file, bytes.data(), length, static_cast<off_t>(offset)) == static_cast<ssize_t>(length));
  std::copy(bytes.begin(), bytes.end(), model->begin() + static_cast<ptrdiff_t>(offset));
}

void Change(int file, Bytes* model, const uint8_t* step) {
  const uint64_t offset = step[1] % kMostPages * kPage;
  const uint8_t value = step[2];
  switch (step[0] % 4) {
    case 0:
      Put(file, model, offset, kPage, value);
      break;
    case 1:  // any byte, and so a difference anywhere in a page
      Put(file, model, offset + step[0] * 16u % kPage + value % 16, 1, 1);
      break;
    case 2:
      if (offset >= model->size()) break;
      PROPERTY(umem::PunchHole(file, offset, kPage).ok());
      std::fill_n(model->begin() + static_cast<ptrdiff_t>(offset), kPage, 0);
      break;
    default:
      Put(file, model, offset, 4 * kPage, value);
  }
}

int16_t ValueOf(const Bytes& model, uint64_t offset, uint64_t length) {
  const uint8_t* bytes = model.data() + offset;
  return std::memcmp(bytes, bytes + 1, length - 1) == 0 ? *bytes : int16_t{-1};
}

void CheckClassify(umem::RamReader* reader, const Bytes& model, const uint8_t* asked) {
  const uint64_t page_size = kPage << (asked[0] % 6);
  const uint64_t pages = model.size() / page_size;
  const uint64_t first = pages == 0 ? 0 : asked[1] % pages;
  const size_t count = pages == 0 ? 0 : asked[2] % (pages - first + 1);
  std::vector<int16_t> values(count, 77);
  PROPERTY(reader->Classify(first, count, page_size, values.data()).ok());
  for (size_t i = 0; i < count; i++) {
    PROPERTY(values[i] == ValueOf(model, (first + i) * page_size, page_size));
  }
}

void CheckRead(umem::RamReader* reader, const Bytes& model, const uint8_t* asked) {
  const uint64_t offset = asked[1] * 257u % model.size();
  Bytes bytes(asked[2] * 331u % (model.size() - offset + 1), 77);
  PROPERTY(reader->Read(offset, bytes.size(), bytes.data()).ok());
  PROPERTY(std::equal(bytes.begin(), bytes.end(), model.begin() + static_cast<ptrdiff_t>(offset)));
}

// What lies outside of the extents must be zeros.
void CheckExtents(int file, const Bytes& model) {
  auto extents = umem::DataExtents(file, model.size());
  PROPERTY(extents.ok());
  uint64_t end = 0;
  for (const umem::Extent& extent : extents.value()) {
    PROPERTY(extent.begin >= end && extent.begin < extent.end && extent.end <= model.size());
    PROPERTY(extent.begin == end || ValueOf(model, end, extent.begin - end) == 0);
    end = extent.end;
  }
  PROPERTY(end == model.size() || ValueOf(model, end, model.size() - end) == 0);
}

void CheckConstant(const Bytes& model, uint64_t page) {
  const Bytes bytes(model.begin() + static_cast<ptrdiff_t>(page * kPage),
                    model.begin() + static_cast<ptrdiff_t>((page + 1) * kPage));
  const int expected = ValueOf(bytes, 0, kPage);
  PROPERTY(umem::ConstantByte(bytes.data(), kPage) == expected);
  PROPERTY(umem::ConstantBytePortable(bytes.data(), kPage) == expected);
#if defined(__x86_64__)
  PROPERTY(umem::ConstantByteSse2(bytes.data(), kPage) == expected);
#endif
}

// A file that its owner cuts while it is read.
void CheckCut(int file, umem::RamReader* reader, uint64_t size) {
  PROPERTY(ftruncate(file, static_cast<off_t>(size - kPage)) == 0);
  int16_t value;
  uint8_t byte;
  PROPERTY(reader->Classify(size / kPage - 1, 1, kPage, &value).failure().error == ERANGE);
  PROPERTY(reader->Read(size - 1, 1, &byte).failure().error == ERANGE);
}

uint64_t BlocksOf(int file) {
  struct stat status;
  PROPERTY(fstat(file, &status) == 0);
  return static_cast<uint64_t>(status.st_blocks);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const uint64_t pages = 1 + data[0] % kMostPages;
  Bytes model(pages * kPage);
  auto memfd = umem::CreateMemfd("fuzz", model.size());
  const int file = memfd.value().get();
  const size_t steps = std::min((size - 4) / 3, kMostSteps);
  for (size_t i = 0; i < steps; i++) Change(file, &model, data + 4 + i * 3);
  auto reader = umem::RamReader::Open(std::move(umem::DuplicateFd(file).value()), model.size());
  PROPERTY(reader.ok());
  const uint64_t blocks = BlocksOf(file);
  CheckClassify(&reader.value(), model, data + 1);
  CheckRead(&reader.value(), model, data + 1);
  CheckExtents(file, model);
  CheckConstant(model, data[3] % pages);
  PROPERTY(BlocksOf(file) == blocks);
  CheckCut(file, &reader.value(), model.size());
  return 0;
}
