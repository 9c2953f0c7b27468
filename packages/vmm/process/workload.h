// The guest's own work: threads that verify pages and rewrite some of them. Only these threads (and
// the one that loads device state) touch RAM, because only they may have to wait for a page.
#ifndef UMEM_PROCESS_WORKLOAD_H
#define UMEM_PROCESS_WORKLOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "page_lock.h"
#include "pattern.h"
#include "ram.h"

enum { WORKLOAD_MAX_THREADS = 1024 };

enum access_mode { MODE_RANDOM, MODE_SEQUENTIAL, MODE_STRIDED, MODE_ZIPF };

struct workload_options {
  enum access_mode mode;
  uint32_t threads;
  uint64_t working_set_pages;  // from the start of RAM; 0 means all
  uint32_t write_percent;
  uint32_t think_us;  // pause after each operation
  uint64_t stride_pages;
  uint32_t tick_ms;
};

struct workload;

struct worker {
  struct workload* workload;
  pthread_t thread;
  _Atomic pid_t tid;
  // Where its sequence of pages stands; travels with the device state.
  uint64_t random;
  uint64_t cursor;
  // Start of the operation in progress, in nanoseconds of the monotonic clock; 0 when there is none.
  _Atomic uint64_t started_ns;
  _Atomic uint64_t worst_ns;
};

enum job_kind { JOB_NONE, JOB_TOUCH, JOB_VERIFY };

struct job_result {
  uint64_t pages;
  uint64_t findings[FINDING_COUNT];
};

struct workload {
  struct ram* ram;
  struct workload_options options;
  struct pattern pattern;
  // What was last written to each page. Kept outside guest RAM, so that wrong RAM cannot hide itself.
  uint32_t* versions;
  struct page_locks locks;
  struct worker workers[WORKLOAD_MAX_THREADS];
  // Totals; they travel with the device state.
  _Atomic uint64_t operations;
  _Atomic uint64_t mismatches;
  _Atomic uint64_t ticks;
  // Called, on a worker's thread, when workload_is_parked or workload_take_job may have changed.
  void (*notify)(void);

  pthread_mutex_t mutex;  // guards what follows
  pthread_cond_t wake;
  _Atomic bool running;
  uint32_t operating;  // workers between operations or in one
  enum job_kind job;
  uint64_t job_next;     // first page that no worker has taken
  uint32_t job_working;  // workers with pages of the job
  struct job_result job_result;
};

// Makes the tables; options are checked by the caller.
void workload_init(struct workload* workload, struct ram* ram);
// Gives every page of the working set its first contents. Touches RAM.
void workload_fill(struct workload* workload);
// Starts the workers, parked, and the ticks.
void workload_start(struct workload* workload);

void workload_run(struct workload* workload);
// Asks the workers to park; workload_is_parked says when they have.
void workload_park(struct workload* workload);
bool workload_is_parked(struct workload* workload);

// Has the workers do something with every page, whether the workload runs or not. False when busy.
bool workload_start_job(struct workload* workload, enum job_kind kind);
// Collects the result of a finished job; false while it goes on.
bool workload_take_job(struct workload* workload, struct job_result* result);

// Verifies one page and counts and reports what is wrong. Touches RAM.
enum finding workload_check_page(struct workload* workload, uint64_t page);

#endif
