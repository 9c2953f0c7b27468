#define _GNU_SOURCE

#include "disk.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "pattern.h"
#include "report.h"

#define DISK_PATH "/dev/vda"
#define DISK_PAGES 1024

static int disk;

static void transfer(ssize_t done, const char* what, uint32_t index) {
  if (done != PAGE_BYTES) fail("%s of %s page %u: %zd bytes", what, DISK_PATH, index, done);
}

static void* run(void* argument) {
  struct counters* counters = argument;
  static uint32_t versions[DISK_PAGES];
  uint64_t* page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
  if (page == NULL) fail("out of memory");
  for (uint32_t step = 0;; step++) {
    uint32_t index = step * 7 % DISK_PAGES;
    uint64_t began_us = now_us();
    if (versions[index] > 0) {
      transfer(pread(disk, page, PAGE_BYTES, (off_t)index * PAGE_BYTES), "read", index);
      int word = pattern_check(page, index, versions[index]);
      if (word >= 0) count_mismatch(counters, "disk", page, index, versions[index], word);
    }
    pattern_write(page, index, ++versions[index]);
    transfer(pwrite(disk, page, PAGE_BYTES, (off_t)index * PAGE_BYTES), "write", index);
    count_operation(counters, began_us);
  }
  return NULL;
}

void start_disk_worker(struct counters* counters) {
  pthread_t thread;
  disk = open(DISK_PATH, O_RDWR | O_DIRECT | O_CLOEXEC);
  if (disk < 0) fail("cannot open %s", DISK_PATH);
  if (pthread_create(&thread, NULL, run, counters) != 0) fail("cannot start the disk worker");
  pthread_detach(thread);
}
