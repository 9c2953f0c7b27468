#include "binding/userfaultfd_events.h"

#include "binding/addon_data.h"
#include "binding/callback.h"
#include "binding/errors.h"
#include "uffd/event.h"

namespace umem {

UserfaultfdEvents::UserfaultfdEvents(Napi::Env env, int fd)
    : env_(env), fd_(fd), watcher_(AddonData::Of(env).loop) {}

void UserfaultfdEvents::Start(Napi::Object owner, size_t max_events,
                              std::optional<Napi::Function> on_readable, Napi::Function on_events,
                              Napi::Function on_error) {
  if (watcher_.active()) {
    Napi::Error::New(env_, "Events are being read already").ThrowAsJavaScriptException();
    return;
  }
  Stop();
  messages_.resize(max_events);
  Status started = watcher_.Start(fd_, [this](int error) { OnReadable(error); });
  if (!started.ok()) {
    ThrowFailure(env_, started.failure(), DescribeFd(fd_));
    return;
  }
  owner_ = Napi::Persistent(owner);
  if (on_readable) on_readable_ = Napi::Persistent(*on_readable);
  on_events_ = Napi::Persistent(on_events);
  on_error_ = Napi::Persistent(on_error);
  context_ = std::make_shared<Napi::AsyncContext>(env_, "umem.userfaultfd", owner);
}

void UserfaultfdEvents::Stop() {
  watcher_.Stop();
  owner_.Reset();
  on_readable_.Reset();
  on_events_.Reset();
  on_error_.Reset();
  batch_.Reset();
  context_.reset();
}

Result<size_t> UserfaultfdEvents::ReadBatch(Napi::BigUint64Array* batch) {
  auto count = ReadEvents(fd_, messages_.data(), messages_.size());
  if (!count.ok() || count.value() == 0) return count;
  const size_t fields = messages_.size() * kEventFields;
  Napi::BigUint64Array array;
  if (!batch_in_use_ && !batch_.IsEmpty()) array = batch_.Value();
  // JavaScript can take the memory out of an array (transfer); then, and in nested calls, make a new one.
  if (array.IsEmpty() || array.ElementLength() != fields) {
    array = Napi::BigUint64Array::New(env_, fields);
    if (!batch_in_use_) batch_ = Napi::Persistent(array);
  }
  // SAFETY: the array has max_events * kEventFields elements, and no JavaScript runs until they are written.
  uint64_t* out = array.Data();
  for (size_t i = 0; i < count.value(); i++) {
    for (const uint64_t field : TakeFields(messages_[i])) *out++ = field;
  }
  *batch = array;
  return count;
}

void UserfaultfdEvents::OnReadable(int poll_error) {
  Napi::HandleScope scope(env_);
  const Napi::Object owner = owner_.Value();  // keeps `this` alive, whatever the callback closes
  if (!on_readable_.IsEmpty()) {
    if (poll_error == 0) {
      CallFromLoop(env_, context_, owner, on_readable_.Value(), {});
    } else {
      Fail(Failure{"poll", poll_error});
    }
    return;
  }
  Napi::BigUint64Array batch;
  auto count = ReadBatch(&batch);
  if (!count.ok()) {
    Fail(count.failure());
    return;
  }
  if (count.value() > 0) {
    batch_in_use_ = true;
    CallFromLoop(env_, context_, owner, on_events_.Value(),
                 {batch, Napi::Number::New(env_, static_cast<double>(count.value()))});
    batch_in_use_ = false;
  }
  if (poll_error != 0 && !on_error_.IsEmpty()) Fail(Failure{"poll", poll_error});
}

void UserfaultfdEvents::Fail(const Failure& failure) {
  const Napi::Object owner = owner_.Value();
  const Napi::Function on_error = on_error_.Value();
  const napi_value error = ToError(env_, failure, DescribeFd(fd_));
  const auto context = context_;
  Stop();
  CallFromLoop(env_, context, owner, on_error, {error});
}

Napi::Value UserfaultfdEvents::Drain() {
  if (!watcher_.active()) {
    Napi::Error::New(env_, "Events are not being read: call startEvents first").ThrowAsJavaScriptException();
    return env_.Undefined();
  }
  const Napi::Object owner = owner_.Value();
  const Napi::Function on_events = on_events_.Value();
  size_t total = 0;
  // A read that does not fill the batch has left nothing behind.
  for (size_t last = messages_.size(); watcher_.active() && last == messages_.size();) {
    Napi::BigUint64Array batch;
    auto count = ReadBatch(&batch);
    if (!count.ok()) {
      ThrowFailure(env_, count.failure(), DescribeFd(fd_));
      break;
    }
    last = count.value();
    if (last == 0) break;
    total += last;
    const bool was_in_use = std::exchange(batch_in_use_, true);
    on_events.Call(owner, {batch, Napi::Number::New(env_, static_cast<double>(last))});
    batch_in_use_ = was_in_use;
    if (env_.IsExceptionPending()) break;
  }
  return Napi::Number::New(env_, static_cast<double>(total));
}

}  // namespace umem
