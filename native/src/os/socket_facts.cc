#include "os/socket_facts.h"

#include <poll.h>
#include <sys/socket.h>

namespace umem {
namespace {

Result<int> IntOption(int fd, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, option, &value, &length) != 0) return LastFailure("getsockopt");
  return value;
}

bool HasPeer(int fd) {
  sockaddr_storage peer;
  socklen_t length = sizeof peer;
  // SAFETY: the kernel writes at most `length` bytes of `peer`, which holds every kind of address.
  return getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
}

bool CanReceive(int fd) {
  pollfd entry = {fd, POLLRDHUP, 0};
  return poll(&entry, 1, 0) >= 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
}

// Over a stream, sending nothing sends nothing, but fails when the direction is shut.
bool CanSend(int fd) { return send(fd, nullptr, 0, MSG_DONTWAIT | MSG_NOSIGNAL) == 0; }

}  // namespace

Result<SocketFacts> InspectSocket(int fd) {
  auto domain = IntOption(fd, SO_DOMAIN);
  if (!domain.ok()) return domain.failure();
  auto type = IntOption(fd, SO_TYPE);
  if (!type.ok()) return type.failure();
  auto listening = IntOption(fd, SO_ACCEPTCONN);
  if (!listening.ok()) return listening.failure();
  SocketFacts facts;
  facts.domain = domain.value();
  facts.type = type.value();
  facts.listening = listening.value() != 0;
  facts.connected = HasPeer(fd);
  facts.can_receive = facts.connected && CanReceive(fd);
  // Over a datagram socket, sending nothing would send an empty message.
  facts.can_send = facts.connected && facts.type == SOCK_STREAM && CanSend(fd);
  return facts;
}

}  // namespace umem
