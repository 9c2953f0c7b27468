#include "ram/ram_reader.h"

#include <unistd.h>

#include <algorithm>

#include "os/file.h"
#include "os/page_size.h"
#include "ram/constant_page.h"
#include "ram/data_extents.h"

namespace umem {
namespace {

// Small enough to stay in a second-level cache between being read and being looked at.
constexpr uint64_t kPieceSize = 65536;

// What is known of a page so far, beside its value.
constexpr int16_t kUnseen = -2;
constexpr int16_t kMixed = -1;

Status RequireSize(int fd, uint64_t size) {
  auto actual = FileSize(fd);
  if (!actual.ok()) return actual.failure();
  if (actual.value() < size) return Failure{"read RAM", ERANGE};
  return Done{};
}

// Takes the value of one more part of a page into account.
void Merge(int16_t* page, int value) {
  if (*page == kUnseen) {
    *page = static_cast<int16_t>(value);
  } else if (*page != value) {
    *page = kMixed;
  }
}

}  // namespace

Result<RamReader> RamReader::Open(UniqueFd fd, uint64_t size) {
  Status long_enough = RequireSize(fd.get(), size);
  if (!long_enough.ok()) return long_enough.failure();
  return RamReader(std::move(fd), size);
}

Status RamReader::Classify(uint64_t first, size_t count, uint64_t page_size, int16_t* out) {
  const uint64_t begin = first * page_size;
  const uint64_t end = begin + count * page_size;
  // Behind its end a file looks like a hole, and a hole like zeros.
  Status long_enough = RequireSize(fd_.get(), end);
  if (!long_enough.ok()) return long_enough.failure();
  if (!piece_) piece_.reset(new uint8_t[kPieceSize]);
  // SAFETY: out has `count` elements; page_of is only asked for offsets in [begin, end).
  const auto page_of = [&](uint64_t offset) { return out + (offset - begin) / page_size; };
  std::fill_n(out, count, kUnseen);
  for (uint64_t offset = begin; offset < end;) {
    if (*page_of(offset) == kMixed) {  // the rest of a large page makes no difference
      offset = begin + ((offset - begin) / page_size + 1) * page_size;
      continue;
    }
    auto next_data = NextData(fd_.get(), offset, end);
    if (!next_data.ok()) return next_data.failure();
    for (; offset + kPageSize <= next_data.value(); offset += kPageSize) Merge(page_of(offset), 0);
    const uint64_t length = std::min(kPieceSize, end - offset);
    Status read = Read(offset, length, piece_.get());
    if (!read.ok()) return read.failure();
    // SAFETY: length is a multiple of kPageSize, at most the size of the piece.
    for (uint64_t i = 0; i < length; i += kPageSize) {
      Merge(page_of(offset + i), ConstantByte(piece_.get() + i, kPageSize));
    }
    offset += length;
  }
  return Done{};
}

Status RamReader::Read(uint64_t offset, size_t length, uint8_t* target) {
  size_t done = 0;
  while (done < length) {
    // SAFETY: done < length, and the caller gives room for `length` bytes.
    const ssize_t count = pread(fd_.get(), target + done, length - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return LastFailure("pread");
    if (count == 0) return Failure{"pread", ERANGE};
    done += static_cast<size_t>(count);
  }
  return Done{};
}

void RamReader::Close() { fd_.reset(); }

}  // namespace umem
