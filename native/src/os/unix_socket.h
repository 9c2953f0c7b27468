#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "os/result.h"
#include "os/unique_fd.h"

namespace umem {

// Descriptors that one message may carry. A handoff needs two.
inline constexpr size_t kMaxFdsPerMessage = 64;

struct PeerIdentity {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

// Bytes that arrived together, and the descriptors that came with them.
struct Received {
  size_t bytes = 0;  // 0 at end of file
  std::vector<UniqueFd> fds;
};

// getsockopt(2) SO_PEERCRED, unix(7): who connected, as of that moment.
Result<PeerIdentity> PeerOf(int fd);

// recvmsg(2) with SCM_RIGHTS, unix(7); descriptors are received close-on-exec. EAGAIN when there
// is nothing. EMSGSIZE when the kernel had to drop descriptors: those that got through are closed.
Result<Received> Receive(int fd, uint8_t* buffer, size_t capacity);

// send(2) without SIGPIPE and without waiting; all bytes or a failure.
Status SendAll(int fd, const uint8_t* bytes, size_t length);

// getsockopt(2) SO_ERROR: the error that made poll report one; 0 when there is none.
int PendingError(int fd);

}  // namespace umem
