#pragma once

#include <uv.h>

#include <functional>
#include <memory>

#include "binding/event_loop.h"
#include "os/result.h"

namespace umem {

// Watches one descriptor for input on the environment's loop. uv_poll. Stopping is legal at any time, also
// inside the callback, and so is closing the descriptor right after it.
class FdWatcher {
 public:
  // Called on the loop's thread while there is input; `error` is 0, or the errno that ended polling
  // (then the watcher has stopped).
  using OnReadable = std::function<void(int error)>;

  explicit FdWatcher(std::shared_ptr<EventLoop> loop) : loop_(std::move(loop)) {}
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;
  ~FdWatcher() { Stop(); }

  Status Start(int fd, OnReadable on_readable);
  void Stop();  // idempotent
  bool active() const { return handle_ != nullptr; }

 private:
  struct Handle;
  static void OnPoll(uv_poll_t* poll, int status, int events);

  std::shared_ptr<EventLoop> loop_;
  Handle* handle_ = nullptr;  // owned by libuv from start until its close callback
};

}  // namespace umem
