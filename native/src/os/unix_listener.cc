#include "os/unix_listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace umem {
namespace {

constexpr int kBacklog = 64;

UniqueFd OpenSpare() { return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Failure{"bind", ENAMETOOLONG};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// SAFETY: sockaddr_un is made to be passed as sockaddr; unix(7).
const sockaddr* Generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<UniqueFd> StreamSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return LastFailure("socket");
  return fd;
}

// A socket file whose listener is gone. Probed by connecting: the file itself does not tell.
bool IsStale(const std::string& path, const sockaddr_un& address) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  auto probe = StreamSocket();
  if (!probe.ok()) return false;
  return connect(probe.value().get(), Generic(address), sizeof(address)) != 0 && errno == ECONNREFUSED;
}

Status Bind(int fd, const std::string& path, const sockaddr_un& address) {
  if (bind(fd, Generic(address), sizeof(address)) == 0) return Done{};
  const Failure failure = LastFailure("bind");
  if (failure.error != EADDRINUSE || !IsStale(path, address)) return failure;
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return LastFailure("unlink");
  if (bind(fd, Generic(address), sizeof(address)) != 0) return LastFailure("bind");
  return Done{};
}

}  // namespace

Result<UnixListener> UnixListener::Listen(const std::string& path, mode_t mode) {
  auto address = AddressOf(path);
  if (!address.ok()) return address.failure();
  auto fd = StreamSocket();
  if (!fd.ok()) return fd.failure();
  // On Linux the file of a socket gets the mode of the unbound socket less the umask, so the file is
  // never wider than `mode`; chmod then gives what the umask took.
  if (fchmod(fd.value().get(), mode) != 0) return LastFailure("fchmod");
  Status bound = Bind(fd.value().get(), path, address.value());
  if (!bound.ok()) return bound.failure();
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return LastFailure("lstat");
  UnixListener listener(std::move(fd.value()), OpenSpare(), path, status);
  if (chmod(path.c_str(), mode) != 0) return LastFailure("chmod");
  if (listen(listener.fd(), kBacklog) != 0) return LastFailure("listen");
  return listener;
}

Result<UniqueFd> UnixListener::Accept() {
  for (;;) {
    UniqueFd connection(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.valid()) return connection;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    const Failure failure = LastFailure("accept4");
    if (failure.error == EMFILE || failure.error == ENFILE) {
      // Without this the peer would stay in the queue and poll would report it for ever.
      spare_.reset();
      UniqueFd refused(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      refused.reset();
      spare_ = OpenSpare();
    }
    return failure;
  }
}

void UnixListener::Close() {
  if (!fd_.valid()) return;
  struct stat status;
  if (lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    // Ignored: the file may be gone, or the directory read-only by now; a stale file is replaced anyway.
    (void)unlink(path_.c_str());
  }
  fd_.reset();
  spare_.reset();
}

}  // namespace umem
