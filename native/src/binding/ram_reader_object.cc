#include "binding/ram_reader_object.h"

#include "binding/addon_data.h"
#include "binding/arguments.h"
#include "binding/errors.h"
#include "binding/native_part.h"
#include "os/file.h"
#include "os/page_size.h"

namespace umem {

Napi::Function RamReaderObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeRamReader",
                     {
                         InstanceMethod<&RamReaderObject::Classify>("classify"),
                         InstanceMethod<&RamReaderObject::Read>("read"),
                         InstanceMethod<&RamReaderObject::Close>("close"),
                     });
}

Napi::Value RamReaderObject::Open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  const uint64_t size = arguments.Integer("sizeBytes", 1, kMaxSafeInteger);
  if (arguments.ok() && size % kPageSize != 0) {
    arguments.RangeError("sizeBytes is " + std::to_string(size) + ", not a multiple of 4096");
  }
  if (!arguments.ok()) return env.Undefined();
  auto own_fd = DuplicateFd(fd);
  if (!own_fd.ok()) {
    ThrowFailure(env, own_fd.failure(), DescribeFd(fd));
    return env.Undefined();
  }
  auto reader = RamReader::Open(std::move(own_fd.value()), size);
  if (!reader.ok()) {
    ThrowFailure(env, reader.failure(), std::to_string(size) + " bytes of " + DescribeFd(fd));
    return env.Undefined();
  }
  return NativePart<RamReader>::Construct(AddonData::Of(env).ram_reader, std::move(reader.value()));
}

RamReaderObject::RamReaderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RamReaderObject>(info) {
  auto part = NativePart<RamReader>::Take(info);
  if (!part) return;
  reader_.emplace(std::move(*part));
  const Napi::Number size = Napi::Number::New(info.Env(), static_cast<double>(reader_->size()));
  info.This().As<Napi::Object>().DefineProperty(
      Napi::PropertyDescriptor::Value("sizeBytes", size, napi_enumerable));
}

bool RamReaderObject::RequireOpen(Napi::Env env) {
  if (!reader_->closed()) return true;
  Napi::Error::New(env, "The RAM reader is closed").ThrowAsJavaScriptException();
  return false;
}

Napi::Value RamReaderObject::Classify(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t first = arguments.Integer("firstPage", 0, kMaxSafeInteger);
  const uint64_t count = arguments.Integer("pageCount", 0, kMaxSafeInteger);
  const uint64_t page_size = arguments.Integer("pageSizeBytes", kPageSize, kMaxSafeInteger);
  int16_t* out = arguments.Int16s("out", count);
  if (arguments.ok() && page_size % kPageSize != 0) {
    arguments.RangeError("pageSizeBytes is " + std::to_string(page_size) + ", not a multiple of 4096");
  }
  const uint64_t pages = reader_->size() / (arguments.ok() ? page_size : kPageSize);
  if (arguments.ok() && (first > pages || count > pages - first)) {
    arguments.RangeError(std::to_string(count) + " pages from page " + std::to_string(first) +
                         " are not all inside the RAM block, which has " + std::to_string(pages));
  }
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  Status done = reader_->Classify(first, count, page_size, out);
  if (!done.ok()) {
    ThrowFailure(env, done.failure(), std::to_string(count) + " pages from page " + std::to_string(first));
  }
  return env.Undefined();
}

Napi::Value RamReaderObject::Read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t offset = arguments.Integer("offset", 0, kMaxSafeInteger);
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  const ByteView target = arguments.Bytes("target");
  const uint64_t target_offset = arguments.Integer("targetOffset", 0, kMaxSafeInteger);
  uint8_t* bytes = arguments.Slice("target", target, target_offset, length);
  if (arguments.ok() && (offset > reader_->size() || length > reader_->size() - offset)) {
    arguments.RangeError(std::to_string(length) + " bytes at offset " + std::to_string(offset) +
                         " are not all inside the RAM block, which has " + std::to_string(reader_->size()) +
                         " bytes");
  }
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  Status done = reader_->Read(offset, length, bytes);
  if (!done.ok()) {
    ThrowFailure(env, done.failure(), std::to_string(length) + " bytes at offset " + std::to_string(offset));
  }
  return env.Undefined();
}

Napi::Value RamReaderObject::Close(const Napi::CallbackInfo& info) {
  reader_->Close();
  return info.Env().Undefined();
}

}  // namespace umem
