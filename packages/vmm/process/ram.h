// Guest RAM: one or several shared mappings that together form one row of pages.
#ifndef UMEM_PROCESS_RAM_H
#define UMEM_PROCESS_RAM_H

#include <stddef.h>
#include <stdint.h>

enum {
  PAGE_BYTES = 4096,
  RAM_MAX_BLOCKS = 16,
  RAM_MAX_ID = 63,
};

struct ram_block {
  char id[RAM_MAX_ID + 1];
  char path[256];  // RAM file; empty for a memfd
  char memfd[64];  // name of a memfd; empty for a file
  uint64_t size;   // bytes
  uint8_t* base;
};

struct ram {
  struct ram_block blocks[RAM_MAX_BLOCKS];
  size_t block_count;
  uint64_t page_count;  // of all blocks together
};

// Opens (and, as QEMU does, makes) each block's file and maps it shared, one mmap per block, by its
// own name, so that a preload library sees it. Returns 0, or -1 after it has said why on stderr.
int ram_map(struct ram* ram);

// Address of a page. Reading it may wait for a page server.
uint8_t* ram_page(const struct ram* ram, uint64_t page);

// The block that a page is in, and the page's index in that block.
const struct ram_block* ram_locate(const struct ram* ram, uint64_t page, uint64_t* pgoff);

#endif
