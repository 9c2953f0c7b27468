/*
 * Device state of the process guest, as it comes through the network. The input: the bytes; its checksum is
 * put right, so that a wrong one does not hide everything else.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../target.h"
#include "state.h"

enum {
  PAGES = 24,
  SUM_BYTES = 8,
  /* Magic, number of blocks, then id and size of two blocks. */
  COUNTERS_AT = 8 + 8 + 2 * (RAM_MAX_ID + 1 + 8),
};

/* FNV-1a, as state.c has it. */
static uint64_t sum_of(const uint8_t* bytes, size_t length) {
  uint64_t sum = 0;
  for (size_t i = 0; i < length; i++) sum = (sum ^ bytes[i]) * 0x100000001b3;
  return sum;
}

static struct workload* make_workload(struct ram* ram) {
  *ram = (struct ram){.block_count = 2, .page_count = PAGES};
  strcpy(ram->blocks[0].id, "ram0");
  strcpy(ram->blocks[1].id, "ram1");
  ram->blocks[0].size = 16 * PAGE_BYTES;
  ram->blocks[1].size = 8 * PAGE_BYTES;
  struct workload* workload = calloc(1, sizeof(*workload));
  if (workload == NULL) abort();
  workload->ram = ram;
  workload->options.threads = 2;
  workload->versions = calloc(PAGES, sizeof(*workload->versions));
  if (workload->versions == NULL) abort();
  return workload;
}

static void free_workload(struct workload* workload) {
  free(workload->versions);
  free(workload);
}

/* The text of a wrong input, or an empty one. */
static int load(struct workload* workload, const uint8_t* bytes, size_t size, char* error,
                size_t error_size) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) abort();
  PROPERTY(send(pair[0], bytes, size, 0) == (ssize_t)size);
  shutdown(pair[0], SHUT_WR);
  const int result = state_load(workload, pair[1], error, error_size);
  close(pair[0]);
  close(pair[1]);
  return result;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) size = 4096;
  uint8_t bytes[4096 + SUM_BYTES];
  memcpy(bytes, data, size);
  if (size >= SUM_BYTES) {
    const uint64_t sum = sum_of(bytes, size - SUM_BYTES);
    memcpy(bytes + size - SUM_BYTES, &sum, sizeof(sum));
  }
  struct ram ram;
  struct workload* workload = make_workload(&ram);
  char error[80] = "";
  const int result = load(workload, bytes, size, error, sizeof(error));
  PROPERTY(result == 0 ? *error == '\0' : *error != '\0');
  PROPERTY(memchr(error, '\0', sizeof(error)) != NULL);
  if (result == 0) {
    /* What was loaded is saved as the same bytes again, as far as they were read. */
    PROPERTY(workload->pattern.constant_percent <= 100);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) abort();
    PROPERTY(state_save(workload, pair[0], error, sizeof(error)) == 0);
    uint8_t saved[sizeof(bytes)];
    const ssize_t length = recv(pair[1], saved, sizeof(saved), 0);
    PROPERTY(length > COUNTERS_AT + SUM_BYTES && (size_t)length <= size);
    /* Of the ids only what comes before their NUL counts, so that the sums differ, too. */
    PROPERTY(memcmp(saved + COUNTERS_AT, bytes + COUNTERS_AT, (size_t)length - COUNTERS_AT - SUM_BYTES) == 0);
    close(pair[0]);
    close(pair[1]);
  }
  free_workload(workload);
  return 0;
}
