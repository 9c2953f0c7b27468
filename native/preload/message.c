#include <stdio.h>
#include <unistd.h>

#include "handoff.h"

/* Firecracker's shape (page_size_kib is in bytes there, whatever its name says) and three fields of ours. */
size_t umem_describe(const struct umem_mapping* mapping, char* text, size_t capacity) {
  const int length = snprintf(
      text, capacity,
      "[{\"base_host_virt_addr\":%ju,\"size\":%zu,\"offset\":%jd,\"page_size\":%zu,\"page_size_kib\":%zu,"
      "\"ram_block\":\"%s\",\"pid\":%jd,\"uffd\":%d}]",
      (uintmax_t)mapping->address, mapping->size, (intmax_t)mapping->offset, mapping->page_size,
      mapping->page_size, mapping->block->id, (intmax_t)getpid(), mapping->uffd);
  if (length < 0 || (size_t)length >= capacity) {
    umem_abort("RAM block %.64s...: its id is too long for the handoff message", mapping->block->id);
  }
  return (size_t)length;
}
