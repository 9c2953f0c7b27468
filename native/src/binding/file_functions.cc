#include "binding/file_functions.h"

#include "binding/arguments.h"
#include "binding/errors.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/socket_facts.h"
#include "ram/data_extents.h"

namespace umem {
namespace {

// Gives a new descriptor to JavaScript, which owns it from here, or throws.
Napi::Value ToFd(Napi::Env env, Result<UniqueFd> fd, const std::string& detail) {
  if (!fd.ok()) {
    ThrowFailure(env, fd.failure(), detail);
    return env.Undefined();
  }
  return Napi::Number::New(env, fd.value().release());
}

Napi::Value ToUndefined(Napi::Env env, const Status& status, const std::string& detail) {
  if (!status.ok()) ThrowFailure(env, status.failure(), detail);
  return env.Undefined();
}

}  // namespace

Napi::Value DataExtentsOf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  const uint64_t size = arguments.Integer("sizeBytes", 0, kMaxSafeInteger);
  if (!arguments.ok()) return env.Undefined();
  auto extents = DataExtents(fd, size);
  if (!extents.ok()) {
    ThrowFailure(env, extents.failure(), DescribeFd(fd));
    return env.Undefined();
  }
  Napi::Float64Array array = Napi::Float64Array::New(env, extents.value().size() * 2);
  size_t index = 0;
  for (const Extent& extent : extents.value()) {
    array[index++] = static_cast<double>(extent.begin);
    array[index++] = static_cast<double>(extent.end);
  }
  return array;
}

Napi::Value PidfdOpenFunction(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int pid = arguments.Int("pid", 1);
  if (!arguments.ok()) return info.Env().Undefined();
  return ToFd(info.Env(), PidfdOpen(pid), "process " + std::to_string(pid));
}

Napi::Value PidfdGetfdFunction(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int pidfd = arguments.Int("pidfd", 0);
  const int target = arguments.Int("targetFd", 0);
  if (!arguments.ok()) return info.Env().Undefined();
  return ToFd(info.Env(), PidfdGetfd(pidfd, target),
              DescribeFd(target) + " of the process of pidfd " + std::to_string(pidfd));
}

Napi::Value DupFdFunction(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  if (!arguments.ok()) return info.Env().Undefined();
  return ToFd(info.Env(), DuplicateFd(fd), DescribeFd(fd));
}

Napi::Value CloseFdFunction(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  if (!arguments.ok()) return info.Env().Undefined();
  return ToUndefined(info.Env(), CloseFd(fd), DescribeFd(fd));
}

Napi::Value CreateMemfdFunction(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string name = arguments.String("name");
  const uint64_t size = arguments.Integer("sizeBytes", 0, kMaxSafeInteger);
  if (!arguments.ok()) return info.Env().Undefined();
  return ToFd(info.Env(), CreateMemfd(name.c_str(), size), std::to_string(size) + " bytes as " + name);
}

Napi::Value PunchHoleFunction(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  const uint64_t offset = arguments.Integer("offset", 0, kMaxSafeInteger);
  const uint64_t length = arguments.Integer("lengthBytes", 1, kMaxSafeInteger);
  if (!arguments.ok()) return info.Env().Undefined();
  return ToUndefined(info.Env(), PunchHole(fd, offset, length),
                     std::to_string(length) + " bytes at offset " + std::to_string(offset));
}

Napi::Value InspectSocketFunction(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const int fd = arguments.Int("fd", 0);
  if (!arguments.ok()) return env.Undefined();
  auto inspected = InspectSocket(fd);
  if (!inspected.ok()) {
    ThrowFailure(env, inspected.failure(), DescribeFd(fd));
    return env.Undefined();
  }
  const SocketFacts& facts = inspected.value();
  Napi::Object object = Napi::Object::New(env);
  object.Set("domain", facts.domain);
  object.Set("type", facts.type);
  object.Set("listening", facts.listening);
  object.Set("connected", facts.connected);
  object.Set("canReceive", facts.can_receive);
  object.Set("canSend", facts.can_send);
  return object;
}

}  // namespace umem
