#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
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

/* -1 with `problem` when it cannot be reached. */
static int connect_to(const char* path, char* problem) {
  /* The path's length was checked when the environment was read. */
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0) {
    snprintf(problem, UMEM_MAX_PROBLEM, "cannot make a socket: %s", strerror(errno));
    return -1;
  }
  /* connect(2) waits when the page server's queue is full, for as long as this. */
  const struct timeval timeout = {.tv_sec = UMEM_TIMEOUT_MS / 1000, .tv_usec = UMEM_TIMEOUT_MS % 1000 * 1000};
  int result = setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  while (result == 0) {
    result = connect(connection, (const struct sockaddr*)&address, sizeof(address));
    if (result == 0) return connection;
    if (errno == EINTR) result = 0;
  }
  snprintf(problem, UMEM_MAX_PROBLEM, "no page server answers at %s: %s; prepare the incoming VM first", path,
           strerror(errno));
  close(connection);
  return -1;
}

/* One sendmsg(2) carries the descriptors: SCM_RIGHTS, unix(7). The rest of a long message may follow it. */
static bool send_mapping(int connection, const struct umem_mapping* mapping, const char* path,
                         char* problem) {
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
      snprintf(problem, UMEM_MAX_PROBLEM, "cannot send the handoff to %s: %s", path, strerror(errno));
      return false;
    }
    sent += (size_t)count;
    vector.iov_base = text + sent;
    vector.iov_len = length - sent;
    message.msg_control = NULL;
    message.msg_controllen = 0;
  }
  return true;
}

/* Reads one line; its length without the newline, or -1 with `problem` when it does not come. */
static ssize_t read_answer(int connection, const char* path, char* line, size_t capacity, char* problem) {
  const int64_t deadline = now_ms() + UMEM_TIMEOUT_MS;
  size_t length = 0;
  while (length < capacity) {
    if (!wait_for(connection, POLLIN, deadline)) {
      snprintf(problem, UMEM_MAX_PROBLEM, "the page server at %s did not answer the handoff within %d ms",
               path, UMEM_TIMEOUT_MS);
      return -1;
    }
    const ssize_t count = recv(connection, line + length, 1, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      snprintf(problem, UMEM_MAX_PROBLEM, "the page server at %s refused the handoff (%s); its log says why",
               path, count == 0 ? "it closed the connection" : strerror(errno));
      return -1;
    }
    if (line[length] == '\n') return (ssize_t)length;
    length++;
  }
  return (ssize_t)length;
}

static bool is_ready(const char* path, char* line, size_t length, char* problem) {
  const char ready[] = "READY";
  if (length == strlen(ready) && memcmp(line, ready, length) == 0) return true;
  for (size_t i = 0; i < length; i++) {
    if (line[i] < ' ' || line[i] > '~') line[i] = '?';
  }
  snprintf(problem, UMEM_MAX_PROBLEM, "the page server at %s refused the handoff: %.*s", path, (int)length,
           line);
  return false;
}

bool umem_hand_over(const struct umem_mapping* mapping, const char* path, char problem[UMEM_MAX_PROBLEM]) {
  const int connection = connect_to(path, problem);
  if (connection < 0) return false;
  char line[128];
  ssize_t length = -1;
  if (send_mapping(connection, mapping, path, problem)) {
    length = read_answer(connection, path, line, sizeof(line), problem);
  }
  close(connection);
  return length >= 0 && is_ready(path, line, (size_t)length, problem);
}
