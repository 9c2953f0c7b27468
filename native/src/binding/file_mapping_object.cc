#include "binding/file_mapping_object.h"

#include "binding/addon_data.h"
#include "binding/arguments.h"
#include "binding/errors.h"
#include "binding/native_part.h"
#include "os/page_size.h"

namespace umem {

Napi::Function FileMappingObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeFileMapping", {InstanceMethod<&FileMappingObject::Close>("close")});
}

Napi::Value FileMappingObject::Map(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  const uint64_t size = arguments.Integer("sizeBytes", 1, kMaxSafeInteger);
  if (arguments.ok() && size % kPageSize != 0) {
    arguments.RangeError("sizeBytes is " + std::to_string(size) + ", not a multiple of 4096");
  }
  if (!arguments.ok()) return env.Undefined();
  auto mapping = FileMapping::Map(fd, size);
  if (!mapping.ok()) {
    ThrowFailure(env, mapping.failure(), std::to_string(size) + " bytes of " + DescribeFd(fd));
    return env.Undefined();
  }
  return NativePart<FileMapping>::Construct(AddonData::Of(env).file_mapping, std::move(mapping.value()));
}

FileMappingObject::FileMappingObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FileMappingObject>(info) {
  auto part = NativePart<FileMapping>::Take(info);
  if (!part) return;
  const Napi::Env env = info.Env();
  mapping_.emplace(std::move(*part));
  info.This().As<Napi::Object>().DefineProperties({
      Napi::PropertyDescriptor::Value("address", Napi::BigInt::New(env, mapping_->address()),
                                      napi_enumerable),
      Napi::PropertyDescriptor::Value(
          "sizeBytes", Napi::Number::New(env, static_cast<double>(mapping_->length())), napi_enumerable),
  });
}

Napi::Value FileMappingObject::Close(const Napi::CallbackInfo& info) {
  mapping_->Close();
  return info.Env().Undefined();
}

Napi::Value ForgetMappedFunction(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t address = arguments.BigInt("address");
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  arguments.CheckPages(address, length);
  if (!arguments.ok()) return env.Undefined();
  Status done = ForgetMapped(address, length);
  if (!done.ok()) ThrowFailure(env, done.failure(), DescribeRange(address, length));
  return env.Undefined();
}

}  // namespace umem
