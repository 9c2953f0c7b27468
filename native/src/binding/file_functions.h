#pragma once

#include <napi.h>

namespace umem {

// Functions of ts/native.ts that take or make plain descriptors.
Napi::Value DataExtentsOf(const Napi::CallbackInfo& info);
Napi::Value PidfdOpenFunction(const Napi::CallbackInfo& info);
Napi::Value PidfdGetfdFunction(const Napi::CallbackInfo& info);
Napi::Value DupFdFunction(const Napi::CallbackInfo& info);
Napi::Value CloseFdFunction(const Napi::CallbackInfo& info);
Napi::Value CreateMemfdFunction(const Napi::CallbackInfo& info);
Napi::Value PunchHoleFunction(const Napi::CallbackInfo& info);
Napi::Value InspectSocketFunction(const Napi::CallbackInfo& info);

}  // namespace umem
