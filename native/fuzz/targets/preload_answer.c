/*
 * What a page server, or whoever listens in its place, answers to a handoff. The input: every byte it sends
 * before it closes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../target.h"

/* The handoff connects to the test's end of a socket pair, whatever path it was given. */
static int page_server;
static int fuzz_connect(int file) { return dup2(page_server, file) < 0 ? -1 : 0; }
#define connect(file, address, size) fuzz_connect(((void)(address), (void)(size), (file)))
#include "../../preload/connection.c"
#undef connect

size_t umem_describe(const struct umem_mapping* mapping, char* text, size_t capacity) {
  (void)mapping;
  PROPERTY(capacity >= 3);
  strcpy(text, "[]");
  return 2;
}

/* The next free descriptor tells whether one leaked. */
static int next_file(void) {
  const int file = dup(page_server);
  close(file);
  return file;
}

static void check_problem(const char* problem, size_t capacity) {
  PROPERTY(memchr(problem, '\0', capacity) != NULL && *problem != '\0');
  /* It goes to the VMM's log. */
  for (; *problem != '\0'; problem++) PROPERTY(*problem >= ' ' && *problem <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char ready[] = "READY\n";
  static int file = -1;
  if (file < 0) file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  /* More than a line's buffer makes no difference, and the socket must take it all. */
  const size_t length = size > 4096 ? 4096 : size;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) abort();
  page_server = pair[1];
  PROPERTY(send(pair[0], data, length, 0) == (ssize_t)length);
  shutdown(pair[0], SHUT_WR);
  const struct umem_block block = {.id = "ram0", .path = "/dev/shm/ram0", .is_memfd = false};
  const struct umem_mapping mapping = {.block = &block, .file = file, .uffd = file};
  char* problem = calloc(1, UMEM_MAX_PROBLEM);
  if (problem == NULL) abort();
  const int next = next_file();
  const bool is_taken = umem_hand_over(&mapping, "/run/handoff.sock", problem);
  PROPERTY(next_file() == next);
  PROPERTY(is_taken == (length >= strlen(ready) && memcmp(data, ready, strlen(ready)) == 0));
  if (!is_taken) check_problem(problem, UMEM_MAX_PROBLEM);
  free(problem);
  close(pair[0]);
  close(pair[1]);
  return 0;
}
