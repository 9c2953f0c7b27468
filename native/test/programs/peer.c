/*
 * A peer on a Unix socket that does what its arguments say, in order, well-behaved or not:
 *   peer SOCKET STEP...
 *   text:TEXT     sends TEXT
 *   fds:N:TEXT    sends TEXT with N descriptors of memfds called "umem-sent"
 *   await:TEXT    reads until TEXT has come
 *   end           reads until end of file
 *   peek          waits until there is something to read, and leaves it
 *   shut          no more to send: shutdown(2)
 * Ends with status 0 when all steps are done, closing the socket without reading what is left.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FDS 253

static int connection;

static void require(int good, const char* what) {
  if (good) return;
  perror(what);
  exit(1);
}

static void send_fds(size_t count, const char* text) {
  int fds[MAX_FDS];
  char control[CMSG_SPACE(sizeof(fds))] = {0};
  for (size_t i = 0; i < count; i++) {
    fds[i] = memfd_create("umem-sent", MFD_CLOEXEC);
    require(fds[i] >= 0, "memfd_create");
  }
  struct iovec vector = {.iov_base = (void*)text, .iov_len = strlen(text)};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  require(sendmsg(connection, &message, MSG_NOSIGNAL) == (ssize_t)strlen(text), "sendmsg");
  for (size_t i = 0; i < count; i++) close(fds[i]);
}

static void await(const char* text) {
  char received[4096] = "";
  size_t length = 0;
  while (text == NULL || strstr(received, text) == NULL) {
    ssize_t count = read(connection, received + length, sizeof(received) - length - 1);
    if (count == 0 && text == NULL) return;
    require(count > 0, "read");
    length += (size_t)count;
    received[length] = '\0';
  }
}

int main(int argc, char** argv) {
  require(argc >= 2, "usage");
  connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
  require(connect(connection, (struct sockaddr*)&address, sizeof(address)) == 0, "connect");
  for (int i = 2; i < argc; i++) {
    if (strncmp(argv[i], "text:", 5) == 0) {
      const char* text = argv[i] + 5;
      require(send(connection, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "send");
    } else if (strncmp(argv[i], "fds:", 4) == 0) {
      char* text;
      const unsigned long count = strtoul(argv[i] + 4, &text, 10);
      require(count <= MAX_FDS && *text == ':', "fds:N:TEXT");
      send_fds(count, text + 1);
    } else if (strncmp(argv[i], "await:", 6) == 0) {
      await(argv[i] + 6);
    } else if (strcmp(argv[i], "end") == 0) {
      await(NULL);
    } else if (strcmp(argv[i], "peek") == 0) {
      char byte;
      require(recv(connection, &byte, 1, MSG_PEEK) == 1, "recv");
    } else {
      require(strcmp(argv[i], "shut") == 0 && shutdown(connection, SHUT_WR) == 0, argv[i]);
    }
  }
  return 0;
}
