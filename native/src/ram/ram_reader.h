#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "os/result.h"
#include "os/unique_fd.h"

namespace umem {

// Reads one RAM file, and never makes it grow. By pread(2), not through a mapping: touching a hole of a
// shared mapping allocates the page in the file, a file that is cut under a mapping kills the process
// (SIGBUS), and finding the holes first costs as much as the copy that a mapping saves. Belongs to one
// thread.
class RamReader {
 public:
  // Takes the descriptor. ERANGE when the file is shorter than `size`.
  static Result<RamReader> Open(UniqueFd fd, uint64_t size);

  // For each of `count` pages of `page_size` bytes from `first`: 0..255 when all its bytes have that
  // value, else -1. The pages must lie inside. ERANGE when the file was truncated meanwhile.
  Status Classify(uint64_t first, size_t count, uint64_t page_size, int16_t* out);
  // pread(2): copies bytes that lie inside; holes read as zeros. ERANGE when the file was truncated.
  Status Read(uint64_t offset, size_t length, uint8_t* target);

  // Idempotent.
  void Close();
  bool closed() const { return !fd_.valid(); }
  uint64_t size() const { return size_; }

 private:
  RamReader(UniqueFd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}

  UniqueFd fd_;
  uint64_t size_;
  std::unique_ptr<uint8_t[]> piece_;  // what Classify looks at
};

}  // namespace umem
