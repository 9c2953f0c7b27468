#pragma once

#include <napi.h>

#include <memory>

#include "binding/userfaultfd_events.h"
#include "uffd/userfaultfd.h"

namespace umem {

// NativeUserfaultfd of ts/native.ts.
class UserfaultfdObject : public Napi::ObjectWrap<UserfaultfdObject> {
 public:
  struct Part {
    UniqueFd fd;
    uint64_t features;
  };

  static Napi::Function Define(Napi::Env env);
  static Napi::Value Create(Napi::Env env, UniqueFd fd, uint64_t features);
  explicit UserfaultfdObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Register(const Napi::CallbackInfo& info);
  Napi::Value Unregister(const Napi::CallbackInfo& info);
  Napi::Value Copy(const Napi::CallbackInfo& info);
  Napi::Value Zeropage(const Napi::CallbackInfo& info);
  Napi::Value Fill(const Napi::CallbackInfo& info);
  Napi::Value Wake(const Napi::CallbackInfo& info);
  Napi::Value StartEvents(const Napi::CallbackInfo& info);
  Napi::Value WatchEvents(const Napi::CallbackInfo& info);
  Napi::Value DrainEvents(const Napi::CallbackInfo& info);
  Napi::Value StopEvents(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  // Throws when it was closed.
  bool RequireOpen(Napi::Env env);

  std::unique_ptr<Userfaultfd> uffd_;
  std::unique_ptr<UserfaultfdEvents> events_;
};

}  // namespace umem
