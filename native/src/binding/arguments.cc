#include "binding/arguments.h"

#include <cinttypes>
#include <climits>
#include <cmath>
#include <cstdio>

#include "os/page_size.h"

namespace umem {
namespace {

std::string Hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%" PRIx64, value);
  return text;
}

std::string Decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

// napi_get_typedarray_info: asked at each call, because a buffer may have been detached since the last one.
bool ReadTypedArray(const Napi::Value& value, napi_typedarray_type wanted, void** data, size_t* length) {
  if (!value.IsTypedArray()) return false;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(value.Env(), value, &type, length, data, nullptr, nullptr) != napi_ok)
    return false;
  return type == wanted;
}

}  // namespace

std::optional<Napi::Value> Arguments::Next() {
  const size_t index = next_++;
  if (!ok_) return std::nullopt;
  return info_[index];
}

void Arguments::TypeError(const char* name, const char* expected) {
  ok_ = false;
  Napi::TypeError::New(env_, std::string(name) + " must be " + expected).ThrowAsJavaScriptException();
}

void Arguments::RangeError(const std::string& message) {
  ok_ = false;
  Napi::RangeError::New(env_, message).ThrowAsJavaScriptException();
}

uint64_t Arguments::Integer(const char* name, uint64_t min, uint64_t max) {
  const auto value = Next();
  if (!value) return 0;
  if (!value->IsNumber()) {
    TypeError(name, "a number");
    return 0;
  }
  const double number = value->As<Napi::Number>().DoubleValue();
  if (!(std::trunc(number) == number && number >= static_cast<double>(min) &&
        number <= static_cast<double>(max))) {
    RangeError(std::string(name) + " is " + Decimal(number) + ", not an integer from " + std::to_string(min) +
               " to " + std::to_string(max));
    return 0;
  }
  return static_cast<uint64_t>(number);
}

int Arguments::Int(const char* name, int min) {
  return static_cast<int>(Integer(name, static_cast<uint64_t>(min), INT_MAX));
}

uint64_t Arguments::BigInt(const char* name) {
  const auto value = Next();
  if (!value) return 0;
  if (!value->IsBigInt()) {
    TypeError(name, "a bigint");
    return 0;
  }
  bool lossless = false;
  const uint64_t number = value->As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) {
    RangeError(std::string(name) + " is negative or does not fit 64 bits");
    return 0;
  }
  return number;
}

ByteView Arguments::Bytes(const char* name) {
  const auto value = Next();
  if (!value) return {};
  void* data = nullptr;
  size_t length = 0;
  if (!ReadTypedArray(*value, napi_uint8_array, &data, &length)) {
    TypeError(name, "a Uint8Array");
    return {};
  }
  // SAFETY: the memory belongs to the array, which the caller's frame keeps alive during the call.
  return {static_cast<uint8_t*>(data), length};
}

int16_t* Arguments::Int16s(const char* name, size_t length) {
  const auto value = Next();
  if (!value) return nullptr;
  void* data = nullptr;
  size_t available = 0;
  if (!ReadTypedArray(*value, napi_int16_array, &data, &available)) {
    TypeError(name, "an Int16Array");
    return nullptr;
  }
  if (available < length) {
    RangeError(std::string(name) + " has " + std::to_string(available) + " elements, " +
               std::to_string(length) + " are needed");
    return nullptr;
  }
  // SAFETY: as in Bytes; the element type was checked.
  return static_cast<int16_t*>(data);
}

std::string Arguments::String(const char* name) {
  const auto value = Next();
  if (!value) return {};
  if (!value->IsString()) {
    TypeError(name, "a string");
    return {};
  }
  std::string text = value->As<Napi::String>().Utf8Value();
  if (text.empty() || text.find('\0') != std::string::npos) {
    TypeError(name, "a string that is not empty and has no NUL in it");
    return {};
  }
  return text;
}

std::optional<Napi::Function> Arguments::Function(const char* name) {
  const auto value = Next();
  if (!value) return std::nullopt;
  if (!value->IsFunction()) {
    TypeError(name, "a function");
    return std::nullopt;
  }
  return value->As<Napi::Function>();
}

void Arguments::CheckPages(uint64_t address, uint64_t length) {
  if (!ok_) return;
  const std::string range = "A range of " + std::to_string(length) + " bytes at " + Hex(address);
  if (address % kPageSize != 0 || length % kPageSize != 0 || length == 0) {
    RangeError(range + " does not consist of whole pages of 4096 bytes");
  } else if (address + length < address) {
    RangeError(range + " ends behind the address space");
  }
}

uint8_t* Arguments::Slice(const char* name, ByteView bytes, uint64_t offset, uint64_t length) {
  if (!ok_) return nullptr;
  if (offset > bytes.length || length > bytes.length - offset) {
    RangeError(std::to_string(length) + " bytes at offset " + std::to_string(offset) +
               " are not all inside " + name + ", which has " + std::to_string(bytes.length) + " bytes");
    return nullptr;
  }
  // SAFETY: offset <= length of the array, as just checked.
  return bytes.data + offset;
}

}  // namespace umem
