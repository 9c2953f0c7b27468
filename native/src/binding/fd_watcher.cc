#include "binding/fd_watcher.h"

namespace umem {

struct FdWatcher::Handle {
  uv_poll_t poll;
  FdWatcher* watcher;  // null once stopped
  std::shared_ptr<EventLoop> loop;
  std::shared_ptr<OnReadable> on_readable;
};

Status FdWatcher::Start(int fd, OnReadable on_readable) {
  if (loop_->exiting()) return Failure{"uv_poll_start", ECANCELED};
  auto handle = std::make_unique<Handle>();
  handle->watcher = this;
  handle->loop = loop_;
  handle->on_readable = std::make_shared<OnReadable>(std::move(on_readable));
  handle->poll.data = handle.get();
  const int made = uv_poll_init(loop_->uv(), &handle->poll, fd);
  if (made != 0) return Failure{"uv_poll_init", -made};
  // SAFETY: from here on libuv holds the handle; it is deleted in the close callback and nowhere else.
  handle_ = handle.release();
  loop_->HandleOpened(this);
  const int started = uv_poll_start(&handle_->poll, UV_READABLE, OnPoll);
  if (started != 0) {
    Stop();
    return Failure{"uv_poll_start", -started};
  }
  return Done{};
}

void FdWatcher::Stop() {
  if (handle_ == nullptr) return;
  Handle* handle = std::exchange(handle_, nullptr);
  handle->watcher = nullptr;
  loop_->HandleClosing(this);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->poll), [](uv_handle_t* closed) {
    // SAFETY: `data` was set to the Handle in Start, and this is the end of its life.
    std::unique_ptr<Handle> owner(static_cast<Handle*>(closed->data));
    owner->loop->HandleGone();
  });
}

void FdWatcher::OnPoll(uv_poll_t* poll, int status, int) {
  // SAFETY: libuv calls back only for handles that are not closed; see Start.
  auto* handle = static_cast<Handle*>(poll->data);
  if (handle->watcher == nullptr) return;
  // The callback may stop or destroy the watcher, so it is held from here.
  const std::shared_ptr<OnReadable> on_readable = handle->on_readable;
  if (status < 0) handle->watcher->Stop();
  (*on_readable)(status < 0 ? -status : 0);
}

}  // namespace umem
