#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "os/result.h"

namespace umem {

// The NativeError of a failure. `detail` says what the call was given: "4096 bytes at 0x7f…".
napi_value ToError(Napi::Env env, const Failure& failure, const std::string& detail = "");
void ThrowFailure(Napi::Env env, const Failure& failure, const std::string& detail = "");

// "4096 bytes at 0x7f0000001000".
std::string DescribeRange(uint64_t address, uint64_t length);
// "descriptor 17".
std::string DescribeFd(int fd);

// Export: takes the class that ToError makes instances of.
Napi::Value SetErrorClass(const Napi::CallbackInfo& info);

}  // namespace umem
