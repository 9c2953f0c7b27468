#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "binding/fd_watcher.h"
#include "os/unix_listener.h"

namespace umem {

// NativeUnixListener of ts/native.ts.
class UnixListenerObject : public Napi::ObjectWrap<UnixListenerObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // Export: listenUnix.
  static Napi::Value Listen(const Napi::CallbackInfo& info);
  explicit UnixListenerObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Close(const Napi::CallbackInfo& info);

  // Throws on failure.
  void Start(Napi::Object self, Napi::Function on_connection, Napi::Function on_error);
  void OnReadable(int poll_error);
  // One connection to onConnection, or one failure to onError. False when this turn is over.
  bool AcceptOnce(Napi::Object self);
  void Report(Napi::Object self, const Failure& failure);
  void StopListening();

  std::optional<UnixListener> listener_;
  std::unique_ptr<FdWatcher> watcher_;
  Napi::ObjectReference self_;  // strong while listening
  Napi::FunctionReference on_connection_;
  Napi::FunctionReference on_error_;
  std::shared_ptr<Napi::AsyncContext> context_;
};

}  // namespace umem
