/*
 * The workload of the test guest: fills memory with a pattern, visits it page by page for ever,
 * verifying all and writing some, and says every 200 ms on the serial console how that goes:
 *
 *   TICK 17 ops=204800 mismatches=0 worst_us=41 sweeps=3 disk_ops=0
 *
 * That line is the guest's own view of a migration: numbers go on without a gap, mismatches stay 0.
 */
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "cmdline.h"
#include "disk.h"
#include "report.h"
#include "worker.h"

struct sums {
  uint64_t operations, mismatches, worst_us, sweeps;
};

static void add(struct sums* sums, struct counters* counters) {
  uint64_t worst_us = atomic_exchange(&counters->worst_us, 0);
  uint64_t sweeps = atomic_load(&counters->sweeps);
  sums->operations += atomic_load(&counters->operations);
  sums->mismatches += atomic_load(&counters->mismatches);
  if (worst_us > sums->worst_us) sums->worst_us = worst_us;
  if (sweeps < sums->sweeps) sums->sweeps = sweeps;
}

static void tick(uint64_t number, struct counters* workers, uint32_t threads, struct counters* disk) {
  struct sums memory = {.sweeps = UINT64_MAX};
  struct sums storage = {0};
  for (uint32_t i = 0; i < threads; i++) add(&memory, &workers[i]);
  add(&storage, disk);
  report("TICK %llu ops=%llu mismatches=%llu worst_us=%llu sweeps=%llu disk_ops=%llu",
         (unsigned long long)number, (unsigned long long)memory.operations,
         (unsigned long long)(memory.mismatches + storage.mismatches), (unsigned long long)memory.worst_us,
         (unsigned long long)memory.sweeps, (unsigned long long)storage.operations);
}

int main(void) {
  struct options options = read_options();
  uint32_t threads = options.threads > 0 ? options.threads : (uint32_t)get_nprocs();
  struct counters* workers = aligned_alloc(_Alignof(struct counters), threads * sizeof *workers);
  static struct counters disk;
  if (workers == NULL) fail("out of memory");

  report("GUEST filling %u MiB with %u threads", options.working_set_mib, threads);
  struct working_set set = create_working_set(options.working_set_mib);
  for (uint32_t i = 0; i < threads; i++) {
    workers[i] = (struct counters){0};
    start_worker(&set, i, threads, options.write_percent, &workers[i]);
  }
  if (options.disk) start_disk_worker(&disk);

  for (uint64_t number = 1;; number++) {
    usleep(options.tick_ms * 1000);
    tick(number, workers, threads, &disk);
  }
}
