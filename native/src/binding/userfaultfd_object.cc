#include "binding/userfaultfd_object.h"

#include "binding/addon_data.h"
#include "binding/arguments.h"
#include "binding/errors.h"
#include "binding/native_part.h"

namespace umem {
namespace {

constexpr uint64_t kMaxEvents = 65536;

Napi::Value ToPlaceResult(Napi::Env env, const PlaceResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("placedBytes", Napi::Number::New(env, static_cast<double>(result.placed_bytes)));
  object.Set("errno", Napi::Number::New(env, result.error));
  return object;
}

}  // namespace

Napi::Function UserfaultfdObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeUserfaultfd",
                     {
                         InstanceMethod<&UserfaultfdObject::Register>("register"),
                         InstanceMethod<&UserfaultfdObject::Unregister>("unregister"),
                         InstanceMethod<&UserfaultfdObject::Copy>("copy"),
                         InstanceMethod<&UserfaultfdObject::Zeropage>("zeropage"),
                         InstanceMethod<&UserfaultfdObject::Fill>("fill"),
                         InstanceMethod<&UserfaultfdObject::Wake>("wake"),
                         InstanceMethod<&UserfaultfdObject::StartEvents>("startEvents"),
                         InstanceMethod<&UserfaultfdObject::WatchEvents>("watchEvents"),
                         InstanceMethod<&UserfaultfdObject::DrainEvents>("drainEvents"),
                         InstanceMethod<&UserfaultfdObject::StopEvents>("stopEvents"),
                         InstanceMethod<&UserfaultfdObject::Close>("close"),
                     });
}

Napi::Value UserfaultfdObject::Create(Napi::Env env, UniqueFd fd, uint64_t features) {
  return NativePart<Part>::Construct(AddonData::Of(env).userfaultfd, Part{std::move(fd), features});
}

UserfaultfdObject::UserfaultfdObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<UserfaultfdObject>(info) {
  auto part = NativePart<Part>::Take(info);
  if (!part) return;
  const Napi::Env env = info.Env();
  // Plain properties: an accessor could be called on an object of another class.
  Napi::Object self = info.This().As<Napi::Object>();
  self.DefineProperties({
      Napi::PropertyDescriptor::Value("fd", Napi::Number::New(env, part->fd.get()), napi_enumerable),
      Napi::PropertyDescriptor::Value("features", Napi::BigInt::New(env, part->features), napi_enumerable),
  });
  events_ = std::make_unique<UserfaultfdEvents>(env, part->fd.get());
  uffd_ = std::make_unique<Userfaultfd>(std::move(part->fd));
}

bool UserfaultfdObject::RequireOpen(Napi::Env env) {
  if (!uffd_->closed()) return true;
  Napi::Error::New(env, "The userfaultfd is closed").ThrowAsJavaScriptException();
  return false;
}

Napi::Value UserfaultfdObject::Register(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t address = arguments.BigInt("address");
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  arguments.CheckPages(address, length);
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  auto ioctls = uffd_->Register(address, length);
  if (!ioctls.ok()) {
    ThrowFailure(env, ioctls.failure(), DescribeRange(address, length));
    return env.Undefined();
  }
  return Napi::BigInt::New(env, ioctls.value());
}

Napi::Value UserfaultfdObject::Unregister(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t address = arguments.BigInt("address");
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  arguments.CheckPages(address, length);
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  Status done = uffd_->Unregister(address, length);
  if (!done.ok()) ThrowFailure(env, done.failure(), DescribeRange(address, length));
  return env.Undefined();
}

Napi::Value UserfaultfdObject::Copy(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t address = arguments.BigInt("address");
  const ByteView source = arguments.Bytes("source");
  const uint64_t offset = arguments.Integer("sourceOffset", 0, kMaxSafeInteger);
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  arguments.CheckPages(address, length);
  const uint8_t* bytes = arguments.Slice("source", source, offset, length);
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  return ToPlaceResult(env, uffd_->Copy(address, bytes, length));
}

Napi::Value UserfaultfdObject::Zeropage(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t address = arguments.BigInt("address");
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  arguments.CheckPages(address, length);
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  return ToPlaceResult(env, uffd_->Zeropage(address, length));
}

Napi::Value UserfaultfdObject::Fill(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t address = arguments.BigInt("address");
  const uint64_t value = arguments.Integer("value", 0, 255);
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  arguments.CheckPages(address, length);
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  return ToPlaceResult(env, uffd_->Fill(address, static_cast<uint8_t>(value), length));
}

Napi::Value UserfaultfdObject::Wake(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t address = arguments.BigInt("address");
  const uint64_t length = arguments.Integer("lengthBytes", 0, kMaxSafeInteger);
  arguments.CheckPages(address, length);
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  Status done = uffd_->Wake(address, length);
  if (!done.ok()) ThrowFailure(env, done.failure(), DescribeRange(address, length));
  return env.Undefined();
}

Napi::Value UserfaultfdObject::StartEvents(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t max_events = arguments.Integer("maxEvents", 1, kMaxEvents);
  const auto on_events = arguments.Function("onEvents");
  const auto on_error = arguments.Function("onError");
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  events_->Start(info.This().As<Napi::Object>(), max_events, std::nullopt, *on_events, *on_error);
  return env.Undefined();
}

Napi::Value UserfaultfdObject::WatchEvents(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t max_events = arguments.Integer("maxEvents", 1, kMaxEvents);
  const auto on_readable = arguments.Function("onReadable");
  const auto on_events = arguments.Function("onEvents");
  const auto on_error = arguments.Function("onError");
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  events_->Start(info.This().As<Napi::Object>(), max_events, on_readable, *on_events, *on_error);
  return env.Undefined();
}

Napi::Value UserfaultfdObject::DrainEvents(const Napi::CallbackInfo& info) {
  if (!RequireOpen(info.Env())) return info.Env().Undefined();
  return events_->Drain();
}

Napi::Value UserfaultfdObject::StopEvents(const Napi::CallbackInfo& info) {
  if (RequireOpen(info.Env())) events_->Stop();
  return info.Env().Undefined();
}

Napi::Value UserfaultfdObject::Close(const Napi::CallbackInfo& info) {
  events_->Stop();  // before the descriptor goes: libuv must not poll a number that somebody else gets
  uffd_->Close();
  return info.Env().Undefined();
}

}  // namespace umem
