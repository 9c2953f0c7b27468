#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <set>

namespace umem {

class FdWatcher;

// The libuv loop of one environment (main thread or worker), and the poll handles this addon has on it.
// At the exit of the environment all of them are closed, and the exit waits until libuv has let go of
// them: a loop must not be destroyed with handles on it.
class EventLoop : public std::enable_shared_from_this<EventLoop> {
 public:
  // napi_get_uv_event_loop, napi_add_async_cleanup_hook. Null with an exception pending on failure.
  static std::shared_ptr<EventLoop> Create(Napi::Env env);

  uv_loop_t* uv() const { return uv_; }
  bool exiting() const { return exit_hook_called_; }

  // Called by FdWatcher: a handle was made; it was closed by us; libuv let go of it.
  void HandleOpened(FdWatcher* watcher);
  void HandleClosing(FdWatcher* watcher);
  void HandleGone();

 private:
  explicit EventLoop(uv_loop_t* uv) : uv_(uv) {}
  static void OnEnvironmentExit(napi_async_cleanup_hook_handle hook, void* loop);
  void FinishExit();

  uv_loop_t* uv_;
  std::set<FdWatcher*> watchers_;
  size_t handles_ = 0;  // open or closing
  bool exit_hook_called_ = false;
  napi_async_cleanup_hook_handle exit_hook_ = nullptr;
};

}  // namespace umem
