/*
 * The name of a memfd, which whoever makes it chooses, as the handoff library finds it in /proc. The input: a
 * name, a newline, and the name or glob that UMEM_RAM has.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "../../preload/match.c"
#include "../target.h"

/* memfd_create(2): the most that a name may have. */
enum { MOST_NAME_BYTES = 249 };

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint8_t* newline = size == 0 ? NULL : memchr(data, '\n', size);
  if (newline == NULL || newline - data > MOST_NAME_BYTES) return 0;
  char* name = strndup((const char*)data, (size_t)(newline - data));
  char* pattern = strndup((const char*)newline + 1, (size_t)(data + size - newline - 1));
  if (name == NULL || pattern == NULL) abort();
  struct umem_config config = {.block_count = 1};
  config.blocks[0] = (struct umem_block){.id = "ram0", .path = pattern, .is_memfd = true};
  const int file = memfd_create(name, MFD_CLOEXEC);
  PROPERTY(file >= 0);
  errno = EXDEV;
  const bool matches = umem_match(&config, file) != NULL;
  PROPERTY(errno == EXDEV);
  PROPERTY(matches == (fnmatch(pattern, name, 0) == 0));
  close(file);
  free(pattern);
  free(name);
  return 0;
}
