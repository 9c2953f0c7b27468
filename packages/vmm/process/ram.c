#define _GNU_SOURCE
#include "ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const struct ram_block* block, const char* doing) {
  fprintf(stderr, "process guest: cannot %s RAM block %s (%s): %s\n", doing, block->id,
          block->path[0] ? block->path : "memfd", strerror(errno));
  return -1;
}

static int open_block(const struct ram_block* block) {
  int fd = block->path[0] ? open(block->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)
                          : memfd_create(block->memfd, MFD_CLOEXEC);
  if (fd < 0) return fail(block, "open");
  struct stat info;
  if (fstat(fd, &info) != 0) return fail(block, "look at");
  if (info.st_size == 0 && ftruncate(fd, (off_t)block->size) != 0) return fail(block, "size");
  if (info.st_size != 0 && (uint64_t)info.st_size < block->size) {
    fprintf(stderr, "process guest: %s has %lld bytes, but RAM block %s needs %llu\n", block->path,
            (long long)info.st_size, block->id, (unsigned long long)block->size);
    return -1;
  }
  return fd;
}

int ram_map(struct ram* ram) {
  ram->page_count = 0;
  for (size_t i = 0; i < ram->block_count; i++) {
    struct ram_block* block = &ram->blocks[i];
    // The descriptor stays open as long as the process: agents find the RAM through it.
    int fd = open_block(block);
    if (fd < 0) return -1;
    void* base = mmap(NULL, block->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) return fail(block, "map");
    block->base = base;
    ram->page_count += block->size / PAGE_BYTES;
  }
  return 0;
}

const struct ram_block* ram_locate(const struct ram* ram, uint64_t page, uint64_t* pgoff) {
  const struct ram_block* block = ram->blocks;
  while (page >= block->size / PAGE_BYTES) {
    page -= block->size / PAGE_BYTES;
    block++;
  }
  *pgoff = page;
  return block;
}

uint8_t* ram_page(const struct ram* ram, uint64_t page) {
  uint64_t pgoff;
  const struct ram_block* block = ram_locate(ram, page, &pgoff);
  return block->base + pgoff * PAGE_BYTES;
}
