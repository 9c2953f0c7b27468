#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

namespace umem {

struct ByteView {
  uint8_t* data = nullptr;
  size_t length = 0;
};

// Reads the arguments of a call in order. The first bad one throws a TypeError or RangeError that names it
// with its numbers; the rest then answer with zeros, and ok() is false.
// No JavaScript runs while arguments are read, so views stay valid until the call returns.
class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info), env_(info.Env()) {}

  // An integer number in [min, max].
  uint64_t Integer(const char* name, uint64_t min, uint64_t max);
  // A file descriptor or process id.
  int Int(const char* name, int min);
  // A bigint below 2^64, never negative.
  uint64_t BigInt(const char* name);
  // A Uint8Array.
  ByteView Bytes(const char* name);
  // An Int16Array with at least `length` elements.
  int16_t* Int16s(const char* name, size_t length);
  std::string String(const char* name);
  std::optional<Napi::Function> Function(const char* name);

  // Checks of values that belong together.
  // Whole pages, at least one, not past the end of the address space.
  void CheckPages(uint64_t address, uint64_t length);
  // [offset, offset + length) of the array called `name`; null when it is not inside.
  uint8_t* Slice(const char* name, ByteView bytes, uint64_t offset, uint64_t length);

  bool ok() const { return ok_; }
  void RangeError(const std::string& message);

 private:
  std::optional<Napi::Value> Next();
  void TypeError(const char* name, const char* expected);

  const Napi::CallbackInfo& info_;
  Napi::Env env_;
  size_t next_ = 0;
  bool ok_ = true;
};

// Sizes and file offsets are numbers: 2^53 - 1.
inline constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;

}  // namespace umem
