#pragma once

#include <sys/stat.h>

#include <string>

#include "os/result.h"
#include "os/unique_fd.h"

namespace umem {

// A listening Unix stream socket and its file. unix(7).
class UnixListener {
 public:
  // socket(2), bind(2), listen(2). A socket file that nobody listens on is replaced; EADDRINUSE when
  // somebody does, or when the path is no socket. The file never has more permissions than `mode`.
  static Result<UnixListener> Listen(const std::string& path, mode_t mode);

  UnixListener(UnixListener&&) = default;
  UnixListener& operator=(UnixListener&&) = default;
  ~UnixListener() { Close(); }

  // accept4(2); the connection is non-blocking and close-on-exec. EAGAIN when nobody waits.
  // When the process has no descriptor left (EMFILE, ENFILE), the waiting peer is disconnected.
  Result<UniqueFd> Accept();
  // Removes the socket file, when it is still ours, and stops listening. Idempotent.
  void Close();

  int fd() const { return fd_.get(); }

 private:
  UnixListener(UniqueFd fd, UniqueFd spare, std::string path, const struct stat& file)
      : fd_(std::move(fd)),
        spare_(std::move(spare)),
        path_(std::move(path)),
        device_(file.st_dev),
        inode_(file.st_ino) {}

  UniqueFd fd_;
  UniqueFd spare_;  // given up to be able to accept, and then disconnect, a peer without descriptors left
  std::string path_;
  dev_t device_;
  ino_t inode_;
};

}  // namespace umem
