#include "os/unix_socket.h"

#include <sys/socket.h>

#include <cstring>

namespace umem {
namespace {

// Takes every descriptor out of the control data, so that each one is either owned or closed.
std::vector<UniqueFd> TakeFds(msghdr* message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    // SAFETY: cmsg(3): the kernel wrote cmsg_len - CMSG_LEN(0) bytes of descriptors behind the
    // header; CMSG_NXTHDR has checked that they lie in the control buffer.
    const uint8_t* data = CMSG_DATA(header);
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      std::memcpy(&fd, data + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

Result<PeerIdentity> PeerOf(int fd) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return LastFailure("getsockopt");
  return PeerIdentity{credentials.pid, credentials.uid, credentials.gid};
}

Result<Received> Receive(int fd, uint8_t* buffer, size_t capacity) {
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(kMaxFdsPerMessage * sizeof(int))];
  iovec vector{buffer, capacity};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t count;
  do {
    count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return LastFailure("recvmsg");
  Received received{static_cast<size_t>(count), TakeFds(&message)};
  if (message.msg_flags & MSG_CTRUNC) return Failure{"recvmsg", EMSGSIZE};
  return received;
}

Status SendAll(int fd, const uint8_t* bytes, size_t length) {
  size_t sent = 0;
  while (sent < length) {
    // SAFETY: sent < length, and the caller keeps `length` bytes alive during the call.
    const ssize_t count = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return LastFailure("send");
    sent += static_cast<size_t>(count);
  }
  return Done{};
}

int PendingError(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

}  // namespace umem
