#pragma once

#include <cstdint>

#include "os/result.h"

namespace umem {

// A shared mapping of a RAM file in this process, for a userfaultfd to place pages through. The processor
// never touches it: a page that is absent would be waited for, and nobody else is there to bring it.
class FileMapping {
 public:
  // mmap(2), MAP_SHARED, of the first `length` bytes. ERANGE when the file is shorter.
  static Result<FileMapping> Map(int fd, uint64_t length);
  FileMapping(FileMapping&& other) noexcept;
  FileMapping(const FileMapping&) = delete;
  ~FileMapping() { Close(); }

  uint64_t address() const { return address_; }
  uint64_t length() const { return length_; }
  void Close();  // munmap(2); idempotent

 private:
  FileMapping(uint64_t address, uint64_t length) : address_(address), length_(length) {}

  uint64_t address_;
  uint64_t length_;  // 0 when it is closed
};

// madvise(2), MADV_DONTNEED, of a part of a FileMapping, from any thread: this process's page tables forget
// the pages, the file keeps them.
Status ForgetMapped(uint64_t address, uint64_t length);

}  // namespace umem
