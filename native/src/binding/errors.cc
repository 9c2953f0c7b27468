#include "binding/errors.h"

#include <cinttypes>
#include <cstdio>

#include "binding/addon_data.h"

namespace umem {

napi_value ToError(Napi::Env env, const Failure& failure, const std::string& detail) {
  const Napi::FunctionReference& error_class = AddonData::Of(env).error_class;
  if (error_class.IsEmpty()) {
    return Napi::Error::New(env,
                            std::string(failure.syscall) + " failed: errno " + std::to_string(failure.error))
        .Value();
  }
  return error_class.New({Napi::String::New(env, failure.syscall), Napi::Number::New(env, failure.error),
                          Napi::String::New(env, detail)});
}

void ThrowFailure(Napi::Env env, const Failure& failure, const std::string& detail) {
  napi_value error = ToError(env, failure, detail);
  if (env.IsExceptionPending()) return;
  // Ignored: it only fails when the environment is being terminated, and then nobody catches anything.
  (void)napi_throw(env, error);
}

std::string DescribeRange(uint64_t address, uint64_t length) {
  char text[64];
  std::snprintf(text, sizeof(text), "%" PRIu64 " bytes at 0x%" PRIx64, length, address);
  return text;
}

std::string DescribeFd(int fd) { return "descriptor " + std::to_string(fd); }

Napi::Value SetErrorClass(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsFunction()) {
    Napi::TypeError::New(env, "errorClass must be a class").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  AddonData::Of(env).error_class = Napi::Persistent(info[0].As<Napi::Function>());
  return env.Undefined();
}

}  // namespace umem
