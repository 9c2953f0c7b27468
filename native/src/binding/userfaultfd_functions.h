#pragma once

#include <napi.h>

namespace umem {

// createUserfaultfd, adoptUserfaultfd, probeUserfaultfd of ts/native.ts.
Napi::Value CreateUserfaultfd(const Napi::CallbackInfo& info);
Napi::Value AdoptUserfaultfd(const Napi::CallbackInfo& info);
Napi::Value ProbeUserfaultfd(const Napi::CallbackInfo& info);

}  // namespace umem
