#include "os/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "expect.h"
#include "os/file.h"

namespace {

// How many descriptors this process has open: the next free number tells whether one leaked.
int NextFd() {
  umem::UniqueFd probe(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return probe.get();
}

void SendWithFds(int socket, const char* text, size_t count) {
  std::vector<umem::UniqueFd> sent;
  std::vector<int> fds;
  for (size_t i = 0; i < count; i++) {
    auto fd = umem::CreateMemfd("sent", 0);
    fds.push_back(fd.value().get());
    sent.push_back(std::move(fd.value()));
  }
  std::vector<uint8_t> control(CMSG_SPACE(count * sizeof(int)));
  iovec vector{const_cast<char*>(text), std::strlen(text)};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  std::memcpy(CMSG_DATA(header), fds.data(), count * sizeof(int));
  EXPECT(sendmsg(socket, &message, 0) == static_cast<ssize_t>(std::strlen(text)));
}

}  // namespace

void TestUnixSocket() {
  int pair[2];
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
  umem::UniqueFd left(pair[0]);
  umem::UniqueFd right(pair[1]);
  uint8_t buffer[64];
  EXPECT(umem::Receive(right.get(), buffer, sizeof(buffer)).failure().error == EAGAIN);
  EXPECT(umem::PeerOf(right.get()).value().pid == getpid());

  const int next = NextFd();
  SendWithFds(left.get(), "two", 2);
  {
    auto received = umem::Receive(right.get(), buffer, sizeof(buffer));
    EXPECT(received.value().bytes == 3 && received.value().fds.size() == 2);
    EXPECT(fcntl(received.value().fds[0].get(), F_GETFD) == FD_CLOEXEC);
  }
  EXPECT(NextFd() == next);
  // One more than there is room for: an error, and none of the others stays open.
  SendWithFds(left.get(), "many", umem::kMaxFdsPerMessage);
  EXPECT(umem::Receive(right.get(), buffer, sizeof(buffer)).value().fds.size() == umem::kMaxFdsPerMessage);
  SendWithFds(left.get(), "too many", umem::kMaxFdsPerMessage + 1);
  EXPECT(umem::Receive(right.get(), buffer, sizeof(buffer)).failure().error == EMSGSIZE);
  EXPECT(NextFd() == next);

  // A peer that does not read: bounded, and no signal when it is gone.
  const std::vector<uint8_t> much(1 << 22);
  EXPECT(umem::SendAll(left.get(), much.data(), much.size()).failure().error == EAGAIN);
  right.reset();
  EXPECT(umem::SendAll(left.get(), much.data(), 1).failure().error == EPIPE);
}
