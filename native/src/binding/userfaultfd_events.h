#pragma once

#include <linux/userfaultfd.h>
#include <napi.h>

#include <memory>
#include <optional>
#include <vector>

#include "binding/fd_watcher.h"

namespace umem {

// Brings the events of one userfaultfd to JavaScript: a batch per call, in an array that is used again.
class UserfaultfdEvents {
 public:
  UserfaultfdEvents(Napi::Env env, int fd);

  // Calls back until Stop, and keeps `owner` alive so long. Throws when it has been started already.
  // With `on_readable`, that is called instead of reading, and calls Drain.
  void Start(Napi::Object owner, size_t max_events, std::optional<Napi::Function> on_readable,
             Napi::Function on_events, Napi::Function on_error);
  // Reads all that waits into on_events; how many. Throws what on_events throws.
  Napi::Value Drain();
  void Stop();  // idempotent

 private:
  void OnReadable(int poll_error);
  void Fail(const Failure& failure);
  // Reads one batch into an array that no callback further up the stack is using; empty on failure.
  Result<size_t> ReadBatch(Napi::BigUint64Array* batch);

  Napi::Env env_;
  int fd_;
  FdWatcher watcher_;
  std::vector<uffd_msg> messages_;
  Napi::Reference<Napi::BigUint64Array> batch_;
  bool batch_in_use_ = false;
  Napi::ObjectReference owner_;
  Napi::FunctionReference on_readable_;  // empty: events are read as they come
  Napi::FunctionReference on_events_;
  Napi::FunctionReference on_error_;
  std::shared_ptr<Napi::AsyncContext> context_;
};

}  // namespace umem
