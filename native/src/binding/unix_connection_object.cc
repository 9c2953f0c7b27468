#include "binding/unix_connection_object.h"

#include "binding/addon_data.h"
#include "binding/arguments.h"
#include "binding/callback.h"
#include "binding/errors.h"
#include "binding/native_part.h"

namespace umem {
namespace {

// A handoff message has some hundred bytes per RAM block.
constexpr size_t kBufferSize = 65536;

Napi::Value ToPeer(Napi::Env env, const PeerIdentity& peer) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("pid", Napi::Number::New(env, peer.pid));
  object.Set("uid", Napi::Number::New(env, peer.uid));
  object.Set("gid", Napi::Number::New(env, peer.gid));
  return object;
}

}  // namespace

Napi::Function UnixConnectionObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeUnixConnection",
                     {
                         InstanceMethod<&UnixConnectionObject::Start>("start"),
                         InstanceMethod<&UnixConnectionObject::Write>("write"),
                         InstanceMethod<&UnixConnectionObject::Close>("close"),
                     });
}

Napi::Value UnixConnectionObject::Create(Napi::Env env, UniqueFd fd, const PeerIdentity& peer) {
  return NativePart<Part>::Construct(AddonData::Of(env).unix_connection, Part{std::move(fd), peer});
}

UnixConnectionObject::UnixConnectionObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<UnixConnectionObject>(info) {
  auto part = NativePart<Part>::Take(info);
  if (!part) return;
  const Napi::Env env = info.Env();
  fd_ = std::move(part->fd);
  watcher_ = std::make_unique<FdWatcher>(AddonData::Of(env).loop);
  info.This().As<Napi::Object>().DefineProperty(
      Napi::PropertyDescriptor::Value("peer", ToPeer(env, part->peer), napi_enumerable));
}

bool UnixConnectionObject::RequireOpen(Napi::Env env) {
  if (fd_.valid()) return true;
  Napi::Error::New(env, "The connection is closed").ThrowAsJavaScriptException();
  return false;
}

Napi::Value UnixConnectionObject::Start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const auto on_data = arguments.Function("onData");
  const auto on_close = arguments.Function("onClose");
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  if (started_) {
    Napi::Error::New(env, "The connection is being read already").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Status started = watcher_->Start(fd_.get(), [this](int error) { OnReadable(error); });
  if (!started.ok()) {
    ThrowFailure(env, started.failure(), DescribeFd(fd_.get()));
    return env.Undefined();
  }
  started_ = true;
  buffer_.resize(kBufferSize);
  self_ = Napi::Persistent(info.This().As<Napi::Object>());
  on_data_ = Napi::Persistent(*on_data);
  on_close_ = Napi::Persistent(*on_close);
  context_ = std::make_shared<Napi::AsyncContext>(env, "umem.unix-connection", self_.Value());
  return env.Undefined();
}

void UnixConnectionObject::OnReadable(int poll_error) {
  Napi::HandleScope scope(Env());
  const Napi::Object self = self_.Value();  // keeps `this` alive, whatever a callback closes
  // libuv has stopped polling after an error; what the peer sent before it is still there to be read.
  do {
    ReadOnce(self, poll_error);
  } while (poll_error != 0 && reading());
}

void UnixConnectionObject::ReadOnce(Napi::Object self, int poll_error) {
  const Napi::Env env = Env();
  auto received = Receive(fd_.get(), buffer_.data(), buffer_.size());
  if (!received.ok() && received.failure().error == EAGAIN) {
    if (poll_error == 0) return;
    const int pending = PendingError(fd_.get());
    Finish(self, ToError(env, Failure{"poll", pending != 0 ? pending : poll_error}, DescribeFd(fd_.get())));
    return;
  }
  if (!received.ok()) {
    Finish(self, ToError(env, received.failure(), DescribeFd(fd_.get())));
    return;
  }
  if (received.value().bytes == 0) {
    Finish(self, env.Null());
    return;
  }
  Napi::Array fds = Napi::Array::New(env, received.value().fds.size());
  for (size_t i = 0; i < received.value().fds.size(); i++) {
    fds.Set(static_cast<uint32_t>(i), Napi::Number::New(env, received.value().fds[i].get()));
  }
  // Released before the call: JavaScript may close one of them in it.
  std::vector<int> given;
  for (UniqueFd& fd : received.value().fds) given.push_back(fd.release());
  const auto bytes = Napi::Buffer<uint8_t>::Copy(env, buffer_.data(), received.value().bytes);
  if (!CallFromLoop(env, context_, self, on_data_.Value(), {bytes, fds})) {
    for (const int fd : given) UniqueFd unclaimed(fd);
    StopReading();
  }
}

void UnixConnectionObject::Finish(Napi::Object self, napi_value error) {
  const Napi::Function on_close = on_close_.Value();
  const auto context = context_;
  StopReading();
  CallFromLoop(Env(), context, self, on_close, {error});
}

void UnixConnectionObject::StopReading() {
  watcher_->Stop();
  self_.Reset();
  on_data_.Reset();
  on_close_.Reset();
  context_.reset();
}

Napi::Value UnixConnectionObject::Write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  const ByteView bytes = arguments.Bytes("bytes");
  if (!arguments.ok() || !RequireOpen(env)) return env.Undefined();
  Status sent = SendAll(fd_.get(), bytes.data, bytes.length);
  if (!sent.ok()) ThrowFailure(env, sent.failure(), std::to_string(bytes.length) + " bytes");
  return env.Undefined();
}

Napi::Value UnixConnectionObject::Close(const Napi::CallbackInfo& info) {
  StopReading();  // before the descriptor goes: libuv must not poll a number that somebody else gets
  fd_.reset();
  return info.Env().Undefined();
}

}  // namespace umem
