#include "ram/file_mapping.h"

#include <sys/mman.h>

#include <utility>

#include "os/file.h"

namespace umem {

Result<FileMapping> FileMapping::Map(int fd, uint64_t length) {
  auto size = FileSize(fd);
  if (!size.ok()) return size.failure();
  if (size.value() < length) return Failure{"mmap", ERANGE};
  void* const address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return LastFailure("mmap");
  // Ignored: a core dump or a child that has it too is a nuisance, not an error.
  madvise(address, length, MADV_DONTDUMP);
  madvise(address, length, MADV_DONTFORK);
  return FileMapping(reinterpret_cast<uintptr_t>(address), length);
}

FileMapping::FileMapping(FileMapping&& other) noexcept
    : address_(other.address_), length_(std::exchange(other.length_, 0)) {}

void FileMapping::Close() {
  // SAFETY: mapped by Map, and not unmapped since: length_ says so.
  if (length_ > 0) munmap(reinterpret_cast<void*>(address_), length_);
  length_ = 0;
}

Status ForgetMapped(uint64_t address, uint64_t length) {
  // SAFETY: a part of a FileMapping, says the caller; whatever else it is, nothing here reads it.
  if (madvise(reinterpret_cast<void*>(address), length, MADV_DONTNEED) != 0) return LastFailure("madvise");
  return Done{};
}

}  // namespace umem
