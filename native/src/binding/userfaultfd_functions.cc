#include "binding/userfaultfd_functions.h"

#include "binding/arguments.h"
#include "binding/errors.h"
#include "binding/userfaultfd_object.h"
#include "uffd/open.h"

namespace umem {
namespace {

Napi::Value ToProbe(Napi::Env env, const char* route, int syscall_error, int device_error,
                    uint64_t features) {
  Napi::Object probe = Napi::Object::New(env);
  if (route == nullptr) {
    probe.Set("route", env.Null());
  } else {
    probe.Set("route", Napi::String::New(env, route));
  }
  probe.Set("syscallErrno", Napi::Number::New(env, syscall_error));
  probe.Set("deviceErrno", Napi::Number::New(env, device_error));
  probe.Set("features", Napi::BigInt::New(env, features));
  return probe;
}

int ErrorOf(const Result<UniqueFd>& result) { return result.ok() ? 0 : result.failure().error; }

}  // namespace

// Not user-mode-only: such a descriptor would let a guest hang on the first fault of its kernel side.
Napi::Value CreateUserfaultfd(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const uint64_t features = arguments.BigInt("features");
  if (!arguments.ok()) return env.Undefined();
  auto fd = OpenUffd(UffdRoute::kSyscall);
  if (!fd.ok()) {
    const Failure refused = fd.failure();
    fd = OpenUffd(UffdRoute::kDevice);
    if (!fd.ok()) {
      ThrowFailure(env, refused);
      return env.Undefined();
    }
  }
  auto supported = NegotiateFeatures(fd.value().get(), features);
  if (!supported.ok()) {
    ThrowFailure(env, supported.failure(), "features " + std::to_string(features));
    return env.Undefined();
  }
  return UserfaultfdObject::Create(env, std::move(fd.value()), features);
}

Napi::Value AdoptUserfaultfd(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  if (!arguments.ok()) return env.Undefined();
  Status prepared = PrepareReceivedUffd(fd);
  if (!prepared.ok()) {
    ThrowFailure(env, prepared.failure(), DescribeFd(fd));
    return env.Undefined();
  }
  return UserfaultfdObject::Create(env, UniqueFd(fd), 0);
}

Napi::Value ProbeUserfaultfd(const Napi::CallbackInfo& info) {
  auto by_syscall = OpenUffd(UffdRoute::kSyscall);
  auto by_device = OpenUffd(UffdRoute::kDevice);
  auto user_mode = OpenUffd(UffdRoute::kUserModeOnly);
  const char* route = nullptr;
  UniqueFd fd;
  if (by_syscall.ok()) {
    route = "syscall";
    fd = std::move(by_syscall.value());
  } else if (by_device.ok()) {
    route = "device";
    fd = std::move(by_device.value());
  } else if (user_mode.ok()) {
    route = "user-mode-only";
    fd = std::move(user_mode.value());
  }
  uint64_t features = 0;
  if (fd.valid()) {
    auto supported = NegotiateFeatures(fd.get(), 0);
    if (!supported.ok()) {
      ThrowFailure(info.Env(), supported.failure(), "no features");
      return info.Env().Undefined();
    }
    features = supported.value();
  }
  return ToProbe(info.Env(), route, ErrorOf(by_syscall), ErrorOf(by_device), features);
}

}  // namespace umem
