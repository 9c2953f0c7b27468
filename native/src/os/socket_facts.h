#pragma once

#include "os/result.h"

namespace umem {

// What a socket is and whether bytes can go both ways over it.
struct SocketFacts {
  // AF_* of socket(7).
  int domain = 0;
  // SOCK_* of socket(2).
  int type = 0;
  bool listening = false;
  bool connected = false;
  // False when nothing will arrive any more: the peer, or somebody here, has shut that direction or closed.
  bool can_receive = false;
  // False when nothing can be sent any more.
  bool can_send = false;
};

// getsockopt(2), getpeername(2), poll(2) and a send(2) of nothing: no byte moves. ENOTSOCK for what is no
// socket.
Result<SocketFacts> InspectSocket(int fd);

}  // namespace umem
