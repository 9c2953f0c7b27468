#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "handoff.h"

static int64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Waits until the socket can be used; false at the deadline. Signals of the VMM do not disturb it. */
static bool wait_for(int connection, short events, int64_t deadline) {
  for (;;) {
    const int64_t left = deadline - now_ms();
    struct pollfd poll_fd = {.fd = connection, .events = events};
    const int count = left <= 0 ? 0 : poll(&poll_fd, 1, (int)left);
    if (count > 0) return true;
    if (count == 0) return false;
    if (errno != EINTR) return false;
  }
}

static int connect_to(const char* id, const char* path) {
  /* The path's length was checked when the environment was read. */
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0) umem_abort("RAM block %s: cannot make a socket: %s", id, strerror(errno));
  /* connect(2) waits when the page server's queue is full, for as long as this. */
  const struct timeval timeout = {.tv_sec = UMEM_TIMEOUT_MS / 1000, .tv_usec = UMEM_TIMEOUT_MS % 1000 * 1000};
  if (setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0) {
    umem_abort("RAM block %s: cannot set a timeout: %s", id, strerror(errno));
  }
  int result;
  do {
    result = connect(connection, (const struct sockaddr*)&address, sizeof(address));
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    umem_abort("RAM block %s: no page server answers at %s: %s; prepare the incoming VM first", id, path,
               strerror(errno));
  }
  return connection;
}

/* One sendmsg(2) carries the descriptors: SCM_RIGHTS, unix(7). The rest of a long message may follow it. */
static void send_mapping(int connection, const struct umem_mapping* mapping, const char* path) {
  char text[4096];
  const size_t length = umem_describe(mapping, text, sizeof(text));
  const int fds[2] = {mapping->uffd, mapping->file};
  union {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(fds))];
  } control;
  memset(&control, 0, sizeof(control));
  struct iovec vector = {.iov_base = text, .iov_len = length};
  struct msghdr message = {
      .msg_iov = &vector,
      .msg_iovlen = 1,
      .msg_control = control.bytes,
      .msg_controllen = sizeof(control.bytes),
  };
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fds));
  memcpy(CMSG_DATA(header), fds, sizeof(fds));
  size_t sent = 0;
  while (sent < length) {
    const ssize_t count = sendmsg(connection, &message, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      umem_abort("RAM block %s: cannot send the handoff to %s: %s", mapping->block->id, path,
                 strerror(errno));
    }
    sent += (size_t)count;
    vector.iov_base = text + sent;
    vector.iov_len = length - sent;
    message.msg_control = NULL;
    message.msg_controllen = 0;
  }
}

/* Reads one line; its length without the newline. Ends the process when it does not come. */
static size_t read_answer(int connection, const char* id, const char* path, char* line, size_t capacity) {
  const int64_t deadline = now_ms() + UMEM_TIMEOUT_MS;
  size_t length = 0;
  while (length < capacity) {
    if (!wait_for(connection, POLLIN, deadline)) {
      umem_abort("RAM block %s: the page server at %s did not answer the handoff within %d ms", id, path,
                 UMEM_TIMEOUT_MS);
    }
    const ssize_t count = recv(connection, line + length, 1, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      umem_abort("RAM block %s: the page server at %s refused the handoff (%s); its log says why", id, path,
                 count == 0 ? "it closed the connection" : strerror(errno));
    }
    if (line[length] == '\n') return length;
    length++;
  }
  return length;
}

void umem_hand_over(const struct umem_mapping* mapping, const char* path) {
  const char* id = mapping->block->id;
  const char ready[] = "READY";
  char line[128];
  const int connection = connect_to(id, path);
  send_mapping(connection, mapping, path);
  const size_t length = read_answer(connection, id, path, line, sizeof(line));
  if (length != strlen(ready) || memcmp(line, ready, length) != 0) {
    for (size_t i = 0; i < length; i++) {
      if (line[i] < ' ' || line[i] > '~') line[i] = '?';
    }
    umem_abort("RAM block %s: the page server at %s refused the handoff: %.*s", id, path, (int)length, line);
  }
  close(connection);
}
