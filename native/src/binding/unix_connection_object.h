#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "binding/fd_watcher.h"
#include "os/unix_socket.h"

namespace umem {

// NativeUnixConnection of ts/native.ts.
class UnixConnectionObject : public Napi::ObjectWrap<UnixConnectionObject> {
 public:
  struct Part {
    UniqueFd fd;
    PeerIdentity peer;
  };

  static Napi::Function Define(Napi::Env env);
  static Napi::Value Create(Napi::Env env, UniqueFd fd, const PeerIdentity& peer);
  explicit UnixConnectionObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  bool RequireOpen(Napi::Env env);
  void OnReadable(int poll_error);
  // What has arrived to onData; the end of it to onClose.
  void ReadOnce(Napi::Object self, int poll_error);
  void Finish(Napi::Object self, napi_value error);
  void StopReading();
  bool reading() const { return context_ != nullptr; }

  UniqueFd fd_;
  std::unique_ptr<FdWatcher> watcher_;
  std::vector<uint8_t> buffer_;
  bool started_ = false;
  Napi::ObjectReference self_;  // strong while reading
  Napi::FunctionReference on_data_;
  Napi::FunctionReference on_close_;
  std::shared_ptr<Napi::AsyncContext> context_;
};

}  // namespace umem
