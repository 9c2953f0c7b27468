#include "binding/event_loop.h"

#include "binding/fd_watcher.h"

namespace umem {

std::shared_ptr<EventLoop> EventLoop::Create(Napi::Env env) {
  uv_loop_t* uv = nullptr;
  if (napi_get_uv_event_loop(env, &uv) != napi_ok) {
    Napi::Error::New(env, "This environment has no event loop").ThrowAsJavaScriptException();
    return nullptr;
  }
  std::shared_ptr<EventLoop> loop(new EventLoop(uv));
  // SAFETY: the hook's own share of the loop is taken back once, in OnEnvironmentExit.
  auto* held = new std::shared_ptr<EventLoop>(loop);
  if (napi_add_async_cleanup_hook(env, OnEnvironmentExit, held, nullptr) != napi_ok) {
    delete held;
    Napi::Error::New(env, "Cannot add a cleanup hook to this environment").ThrowAsJavaScriptException();
    return nullptr;
  }
  return loop;
}

void EventLoop::HandleOpened(FdWatcher* watcher) {
  watchers_.insert(watcher);
  handles_++;
}

void EventLoop::HandleClosing(FdWatcher* watcher) { watchers_.erase(watcher); }

void EventLoop::HandleGone() {
  handles_--;
  FinishExit();
}

void EventLoop::OnEnvironmentExit(napi_async_cleanup_hook_handle hook, void* held) {
  // SAFETY: `held` is what Create gave; Node calls the hook once.
  std::unique_ptr<std::shared_ptr<EventLoop>> owner(static_cast<std::shared_ptr<EventLoop>*>(held));
  const std::shared_ptr<EventLoop> loop = *owner;
  loop->exit_hook_called_ = true;
  loop->exit_hook_ = hook;
  while (!loop->watchers_.empty()) (*loop->watchers_.begin())->Stop();
  loop->FinishExit();
}

// Every closing handle has a share of the loop, so it outlives the last of them.
void EventLoop::FinishExit() {
  if (exit_hook_ == nullptr || handles_ > 0) return;
  // Ignored: the environment is going, there is nobody left to tell.
  (void)napi_remove_async_cleanup_hook(exit_hook_);
  exit_hook_ = nullptr;
}

}  // namespace umem
