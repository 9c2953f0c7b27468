#pragma once

#include <napi.h>

#include <optional>

#include "ram/ram_reader.h"

namespace umem {

// NativeRamReader of ts/native.ts.
class RamReaderObject : public Napi::ObjectWrap<RamReaderObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // Export: openRamReader.
  static Napi::Value Open(const Napi::CallbackInfo& info);
  explicit RamReaderObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Classify(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  bool RequireOpen(Napi::Env env);

  std::optional<RamReader> reader_;
};

}  // namespace umem
