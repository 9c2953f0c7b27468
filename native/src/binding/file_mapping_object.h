#pragma once

#include <napi.h>

#include <optional>

#include "ram/file_mapping.h"

namespace umem {

// NativeFileMapping of ts/native.ts.
class FileMappingObject : public Napi::ObjectWrap<FileMappingObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // Export: mapFile.
  static Napi::Value Map(const Napi::CallbackInfo& info);
  explicit FileMappingObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Close(const Napi::CallbackInfo& info);

  std::optional<FileMapping> mapping_;
};

// Export: forgetMapped.
Napi::Value ForgetMappedFunction(const Napi::CallbackInfo& info);

}  // namespace umem
