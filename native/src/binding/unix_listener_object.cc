#include "binding/unix_listener_object.h"

#include "binding/addon_data.h"
#include "binding/arguments.h"
#include "binding/callback.h"
#include "binding/errors.h"
#include "binding/native_part.h"
#include "binding/unix_connection_object.h"

namespace umem {
namespace {

// Connections accepted before other work of the loop gets its turn.
constexpr int kAcceptsPerTurn = 16;

}  // namespace

Napi::Function UnixListenerObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeUnixListener", {InstanceMethod<&UnixListenerObject::Close>("close")});
}

Napi::Value UnixListenerObject::Listen(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const std::string path = arguments.String("path");
  const uint64_t mode = arguments.Integer("mode", 0, 0777);
  const auto on_connection = arguments.Function("onConnection");
  const auto on_error = arguments.Function("onError");
  if (!arguments.ok()) return env.Undefined();
  auto listener = UnixListener::Listen(path, static_cast<mode_t>(mode));
  if (!listener.ok()) {
    ThrowFailure(env, listener.failure(), path);
    return env.Undefined();
  }
  Napi::Value object =
      NativePart<UnixListener>::Construct(AddonData::Of(env).unix_listener, std::move(listener.value()));
  if (env.IsExceptionPending()) return env.Undefined();
  const Napi::Object self = object.As<Napi::Object>();
  Unwrap(self)->Start(self, *on_connection, *on_error);
  return env.IsExceptionPending() ? env.Undefined() : object;
}

UnixListenerObject::UnixListenerObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<UnixListenerObject>(info) {
  auto part = NativePart<UnixListener>::Take(info);
  if (!part) return;
  listener_.emplace(std::move(*part));
  watcher_ = std::make_unique<FdWatcher>(AddonData::Of(info.Env()).loop);
}

void UnixListenerObject::Start(Napi::Object self, Napi::Function on_connection, Napi::Function on_error) {
  Status started = watcher_->Start(listener_->fd(), [this](int error) { OnReadable(error); });
  if (!started.ok()) {
    ThrowFailure(Env(), started.failure(), DescribeFd(listener_->fd()));
    listener_->Close();
    return;
  }
  self_ = Napi::Persistent(self);
  on_connection_ = Napi::Persistent(on_connection);
  on_error_ = Napi::Persistent(on_error);
  context_ = std::make_shared<Napi::AsyncContext>(Env(), "umem.unix-listener", self);
}

void UnixListenerObject::OnReadable(int poll_error) {
  Napi::HandleScope scope(Env());
  const Napi::Object self = self_.Value();  // keeps `this` alive, whatever a callback closes
  if (poll_error != 0) {
    Report(self, Failure{"poll", poll_error});
    StopListening();
    return;
  }
  for (int i = 0; i < kAcceptsPerTurn && watcher_->active(); i++) {
    if (!AcceptOnce(self)) break;
  }
}

bool UnixListenerObject::AcceptOnce(Napi::Object self) {
  const Napi::Env env = Env();
  auto connection = listener_->Accept();
  if (!connection.ok()) {
    if (connection.failure().error == EAGAIN) return false;
    // Not again in this turn: without descriptors accept4 fails before it looks whether anybody waits.
    Report(self, connection.failure());
    return false;
  }
  auto peer = PeerOf(connection.value().get());
  if (!peer.ok()) {
    Report(self, peer.failure());
    return true;
  }
  const Napi::Value object = UnixConnectionObject::Create(env, std::move(connection.value()), peer.value());
  if (env.IsExceptionPending()) return false;  // the environment is ending
  CallFromLoop(env, context_, self, on_connection_.Value(), {object});
  return true;
}

void UnixListenerObject::Report(Napi::Object self, const Failure& failure) {
  const napi_value error = ToError(Env(), failure, DescribeFd(listener_->fd()));
  CallFromLoop(Env(), context_, self, on_error_.Value(), {error});
}

void UnixListenerObject::StopListening() {
  watcher_->Stop();
  listener_->Close();
  self_.Reset();
  on_connection_.Reset();
  on_error_.Reset();
  context_.reset();
}

Napi::Value UnixListenerObject::Close(const Napi::CallbackInfo& info) {
  StopListening();
  return info.Env().Undefined();
}

}  // namespace umem
