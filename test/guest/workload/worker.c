#include "worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pattern.h"
#include "report.h"

static const uint64_t DESCRIBED_MISMATCHES = 10;

struct worker {
  struct working_set set;
  uint32_t first;
  uint32_t stride;
  uint32_t write_percent;
  struct counters* counters;
};

static void interleave_nodes(void) {
  static const unsigned long ALL_NODES = ~0ul;
  const int MPOL_INTERLEAVE = 3;
  /* Fails on a kernel without NUMA, where all memory is one node anyway. set_mempolicy(2) */
  syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &ALL_NODES, sizeof ALL_NODES * 8);
}

static void* map(size_t bytes) {
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("cannot map %zu bytes", bytes);
  return memory;
}

struct working_set create_working_set(uint32_t mib) {
  interleave_nodes();
  struct working_set set = {.pages = mib << 8};
  set.memory = map((size_t)mib << 20);
  set.versions = map((size_t)set.pages * sizeof *set.versions);
  for (uint32_t index = 0; index < set.pages; index++) {
    set.versions[index] = 1;
    pattern_write(set.memory + (size_t)index * PAGE_WORDS, index, 1);
  }
  return set;
}

void count_operation(struct counters* counters, uint64_t began_us) {
  uint64_t took_us = now_us() - began_us;
  atomic_fetch_add_explicit(&counters->operations, 1, memory_order_relaxed);
  /* The ticker may reset it in between: then this one counts for the next tick. */
  if (took_us > atomic_load_explicit(&counters->worst_us, memory_order_relaxed))
    atomic_store_explicit(&counters->worst_us, took_us, memory_order_relaxed);
}

void count_mismatch(struct counters* counters, const char* where, const uint64_t* page, uint32_t index,
                    uint32_t version, int word) {
  if (atomic_fetch_add(&counters->mismatches, 1) >= DESCRIBED_MISMATCHES) return;
  report("MISMATCH %s page=%u version=%u word=%d found=%016llx expected=%016llx", where, index, version, word,
         (unsigned long long)page[word], (unsigned long long)pattern_word(index, version, (size_t)word));
}

static void visit(const struct worker* worker, uint32_t index, uint32_t dice) {
  uint64_t began_us = now_us();
  uint64_t* page = worker->set.memory + (size_t)index * PAGE_WORDS;
  uint32_t* version = &worker->set.versions[index];
  int word = pattern_check(page, index, *version);
  if (word >= 0) count_mismatch(worker->counters, "memory", page, index, *version, word);
  if (dice % 100 < worker->write_percent) pattern_write(page, index, ++*version);
  count_operation(worker->counters, began_us);
}

/* Visits every page once a sweep, each time in another order: a full-period congruential generator. */
static void* run(void* argument) {
  const struct worker* worker = argument;
  uint32_t count = (worker->set.pages - worker->first + worker->stride - 1) / worker->stride;
  uint64_t period = 1;
  while (period < count) period <<= 1;
  uint64_t random = 0x2545f4914f6cdd1du + worker->first;
  for (uint64_t sweep = 1;; sweep++) {
    uint64_t position = random & (period - 1);
    uint64_t increment = (random >> 20) | 1;
    for (uint64_t step = 0; step < period; step++) {
      position = (position * 1664525 + increment) & (period - 1);
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      if (position >= count) continue;
      visit(worker, worker->first + (uint32_t)position * worker->stride, (uint32_t)(random >> 32));
    }
    atomic_store(&worker->counters->sweeps, sweep);
  }
  return NULL;
}

void start_worker(const struct working_set* set, uint32_t first, uint32_t stride, uint32_t write_percent,
                  struct counters* counters) {
  struct worker* worker = malloc(sizeof *worker);
  pthread_t thread;
  if (worker == NULL) fail("out of memory");
  *worker = (struct worker){*set, first, stride, write_percent, counters};
  if (pthread_create(&thread, NULL, run, worker) != 0) fail("cannot start worker %u", first);
  pthread_detach(thread);
}
