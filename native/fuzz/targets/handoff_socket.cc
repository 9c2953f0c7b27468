// What a VMM, or anybody who may connect to the handoff socket, can send: any bytes in any pieces, with any
// number of descriptors. The input is a script: each two bytes are a step.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "../target.h"
#include "os/file.h"
#include "os/unix_socket.h"

namespace {

constexpr size_t kMostFds = 80;  // some more than one message may carry
constexpr size_t kMostBytes = 255;

// The next free descriptor numbers tell whether one leaked: those of a socket pair, and the one behind.
std::vector<int> NextFds() {
  std::vector<umem::UniqueFd> probes;
  std::vector<int> numbers;
  for (int i = 0; i < 3; i++) {
    probes.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    numbers.push_back(probes.back().get());
  }
  return numbers;
}

// Sends one message; false when the socket is full.
bool Send(int socket, size_t bytes, size_t count, int fd, uint8_t* counter, std::deque<uint8_t>* sent) {
  uint8_t buffer[kMostBytes];
  for (size_t i = 0; i < bytes; i++) buffer[i] = static_cast<uint8_t>(*counter + i);
  std::vector<int> fds(count, fd);
  std::vector<uint8_t> control(CMSG_SPACE(count * sizeof(int)));
  iovec vector{buffer, bytes};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), count * sizeof(int));
  }
  const ssize_t length = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (length < 0) return false;
  PROPERTY(static_cast<size_t>(length) == bytes);
  sent->insert(sent->end(), buffer, buffer + length);
  *counter = static_cast<uint8_t>(*counter + length);
  return true;
}

// Takes what has come; false at the end of the connection.
bool Receive(int socket, size_t capacity, std::deque<uint8_t>* sent) {
  std::vector<uint8_t> buffer(capacity);
  auto received = umem::Receive(socket, buffer.data(), buffer.size());
  if (!received.ok()) {
    PROPERTY(received.failure().error == EAGAIN || received.failure().error == EMSGSIZE);
    return false;
  }
  const size_t bytes = received.value().bytes;
  PROPERTY(bytes <= capacity && bytes <= sent->size());
  PROPERTY(std::equal(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(bytes), sent->begin()));
  sent->erase(sent->begin(), sent->begin() + static_cast<ptrdiff_t>(bytes));
  PROPERTY(received.value().fds.size() <= umem::kMaxFdsPerMessage);
  for (const umem::UniqueFd& fd : received.value().fds) PROPERTY(fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
  return bytes > 0;
}

void Run(const uint8_t* data, size_t size) {
  static const int memory = umem::CreateMemfd("fuzz", 0).value().release();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) abort();
  const umem::UniqueFd vmm(pair[0]);
  const umem::UniqueFd server(pair[1]);
  std::deque<uint8_t> sent;
  uint8_t counter = 0;
  for (size_t at = 0; at + 1 < size && at < 256; at += 2) {
    const uint8_t step = data[at];
    const uint8_t argument = data[at + 1];
    if (step < 128) {
      Send(vmm.get(), std::max<size_t>(1, argument), std::min<size_t>(step, kMostFds), memory, &counter,
           &sent);
    } else if (step < 240) {
      // A message whose descriptors did not fit is the end of a connection.
      if (!Receive(server.get(), static_cast<size_t>(argument) + 1, &sent)) break;
    } else {
      shutdown(vmm.get(), SHUT_WR);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Run(data, 0);  // makes what lives on
  const std::vector<int> next = NextFds();
  Run(data, size);
  PROPERTY(NextFds() == next);
  return 0;
}
