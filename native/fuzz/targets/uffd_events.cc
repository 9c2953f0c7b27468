// Messages of a userfaultfd. The input: how many are asked for at once, then the bytes that are read.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "../target.h"
#include "os/unique_fd.h"
#include "uffd/event.h"

namespace {

constexpr size_t kMessage = 32;      // struct uffd_msg, userfaultfd(2)
constexpr size_t kMostBytes = 4096;  // what a pipe takes at once

uint64_t Word(const uint8_t* message, size_t offset) {
  uint64_t word;
  std::memcpy(&word, message + offset, sizeof(word));
  return word;
}

uint32_t HalfWord(const uint8_t* message, size_t offset) {
  return static_cast<uint32_t>(Word(message, offset));
}

// By the offsets of the manual page, not by the kernel's header.
umem::EventFields Expected(const uint8_t* message) {
  const uint8_t kind = message[0];
  switch (kind) {
    case 0x12:  // page fault: flags, address, thread
      return {kind, Word(message, 16), Word(message, 8), HalfWord(message, 24)};
    case 0x13:  // fork: descriptor
      return {kind, HalfWord(message, 8), 0, 0};
    case 0x14:  // remap: from, to, length
      return {kind, Word(message, 8), Word(message, 16), Word(message, 24)};
    case 0x15:  // remove: start, end
    case 0x16:  // unmap
      return {kind, Word(message, 8), Word(message, 16), 0};
    default:
      return {kind, 0, 0, 0};
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t capacity = 1 + data[0];
  const uint8_t* bytes = data + 1;
  const size_t length = std::min(size - 1, kMostBytes);
  int pair[2];
  if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) != 0) abort();
  const umem::UniqueFd reader(pair[0]);
  umem::UniqueFd writer(pair[1]);
  std::unique_ptr<uffd_msg[]> messages(new uffd_msg[capacity]);
  PROPERTY(umem::ReadEvents(reader.get(), messages.get(), capacity).value() == 0);
  PROPERTY(write(writer.get(), bytes, length) == static_cast<ssize_t>(length));
  auto count = umem::ReadEvents(reader.get(), messages.get(), capacity);
  PROPERTY(count.ok() && count.value() == std::min(capacity, length / kMessage));
  for (size_t i = 0; i < count.value(); i++) {
    PROPERTY(umem::TakeFields(messages[i]) == Expected(bytes + i * kMessage));
  }
  writer.reset();
  return 0;
}
