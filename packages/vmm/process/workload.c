#define _GNU_SOURCE
#include "workload.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  BURST = 64,           // operations between two looks at the mutex
  JOB_SLICE = 64,       // pages of a job that a worker takes at once
  MAX_COMPLAINTS = 16,  // mismatches that are described on stderr
  EXTENT = 256,         // neighbours that are popular together, in pages
};

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void sleep_us(uint32_t us) {
  struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
  nanosleep(&time, NULL);
}

static void* allocate(size_t count, size_t size) {
  void* memory = calloc(count, size);
  if (!memory) {
    fputs("process guest: out of memory\n", stderr);
    exit(1);
  }
  return memory;
}

void workload_init(struct workload* workload, struct ram* ram) {
  workload->ram = ram;
  uint64_t* working_set = &workload->options.working_set_pages;
  if (*working_set == 0 || *working_set > ram->page_count) *working_set = ram->page_count;
  workload->versions = allocate(ram->page_count, sizeof *workload->versions);
  workload->locks.states = allocate(ram->page_count, sizeof *workload->locks.states);
  pthread_mutex_init(&workload->mutex, NULL);
  pthread_cond_init(&workload->wake, NULL);
  for (uint32_t i = 0; i < workload->options.threads; i++) {
    workload->workers[i].workload = workload;
    workload->workers[i].random = pattern_mix(workload->pattern.seed + i + 1) | 1;
    workload->workers[i].cursor = *working_set * i / workload->options.threads;
  }
}

void workload_fill(struct workload* workload) {
  for (uint64_t page = 0; page < workload->options.working_set_pages; page++) {
    workload->versions[page] = 1;
    pattern_fill(&workload->pattern, ram_page(workload->ram, page), page, 1);
  }
}

static void complain(struct workload* workload, uint64_t page, enum finding finding) {
  uint64_t pgoff;
  const struct ram_block* block = ram_locate(workload->ram, page, &pgoff);
  fprintf(stderr, "MISMATCH block=%s pgoff=%llu expected_version=%u found=%s\n", block->id,
          (unsigned long long)pgoff, workload->versions[page], finding_name(finding));
}

// The caller holds the page's lock, or is alone.
enum finding workload_check_page(struct workload* workload, uint64_t page) {
  enum finding finding =
      pattern_check(&workload->pattern, ram_page(workload->ram, page), page, workload->versions[page]);
  if (finding != FINDING_RIGHT && atomic_fetch_add(&workload->mismatches, 1) < MAX_COMPLAINTS)
    complain(workload, page, finding);
  return finding;
}

static uint64_t next_random(struct worker* worker) {
  worker->random += 0x9e3779b97f4a7c15;
  return pattern_mix(worker->random);
}

// A permutation of all numbers below `count` that scatters neighbours.
static uint64_t scatter(uint64_t number, uint64_t count, uint64_t seed) {
  if (count < 2) return number;
  int bits = 64 - __builtin_clzll(count - 1);
  // It permutes all numbers of so many bits: those that are too large are passed over.
  uint64_t step = 0x9e3779b97f4a7c15 >> (64 - bits) | 1;
  do number = (number * step + seed) & ((1ull << bits) - 1);
  while (number >= count);
  return number;
}

// Pages of about the same popularity lie together, but popular extents are scattered, as in a real guest.
static uint64_t to_popular_page(const struct workload* workload, uint64_t rank) {
  uint64_t extents = workload->options.working_set_pages / EXTENT;
  uint64_t extent = rank / EXTENT;
  if (extent >= extents) return rank;
  return scatter(extent, extents, workload->pattern.seed) * EXTENT + rank % EXTENT;
}

static uint64_t choose_page(struct worker* worker) {
  const struct workload_options* options = &worker->workload->options;
  uint64_t pages = options->working_set_pages;
  switch (options->mode) {
    case MODE_RANDOM:
      return next_random(worker) % pages;
    case MODE_SEQUENTIAL:
      return worker->cursor = (worker->cursor + 1) % pages;
    case MODE_STRIDED:
      return worker->cursor = (worker->cursor + options->stride_pages) % pages;
    case MODE_ZIPF:
      break;
  }
  // A few pages get most of the accesses: the fourth power of an even distribution.
  double even = (double)(next_random(worker) >> 11) / (double)(1ull << 53);
  return to_popular_page(worker->workload, (uint64_t)((double)pages * even * even * even * even));
}

static void finish_timing(struct worker* worker, uint64_t started) {
  uint64_t spent = now_ns() - started;
  uint64_t worst = atomic_load(&worker->worst_ns);
  while (spent > worst && !atomic_compare_exchange_weak(&worker->worst_ns, &worst, spent)) continue;
  atomic_store(&worker->started_ns, 0);
}

static void operate(struct worker* worker) {
  struct workload* workload = worker->workload;
  uint64_t page = choose_page(worker);
  bool is_write = next_random(worker) % 100 < workload->options.write_percent;
  if (!page_lock_read(&workload->locks, page)) return;
  uint64_t started = now_ns();
  atomic_store(&worker->started_ns, started);
  workload_check_page(workload, page);
  if (is_write && page_lock_upgrade(&workload->locks, page)) {
    uint32_t version = ++workload->versions[page];
    pattern_fill(&workload->pattern, ram_page(workload->ram, page), page, version);
    page_unlock_write(&workload->locks, page);
  } else {
    page_unlock_read(&workload->locks, page);
  }
  finish_timing(worker, started);
  atomic_fetch_add(&workload->operations, 1);
  if (workload->options.think_us > 0) sleep_us(workload->options.think_us);
}

static void do_job_page(struct workload* workload, enum job_kind job, uint64_t page,
                        struct job_result* result) {
  // A writer holds a page only while it writes to it, and it has read the page before.
  while (!page_lock_read(&workload->locks, page)) sched_yield();
  result->pages++;
  if (job == JOB_TOUCH)
    (void)*(volatile uint8_t*)ram_page(workload->ram, page);
  else
    result->findings[workload_check_page(workload, page)]++;
  page_unlock_read(&workload->locks, page);
}

// Does one slice of the job. Called and returns with the mutex held.
static void do_job_slice(struct workload* workload) {
  enum job_kind job = workload->job;
  uint64_t first = workload->job_next;
  uint64_t end =
      first + JOB_SLICE < workload->ram->page_count ? first + JOB_SLICE : workload->ram->page_count;
  workload->job_next = end;
  workload->job_working++;
  pthread_mutex_unlock(&workload->mutex);
  struct job_result slice = {0};
  for (uint64_t i = first; i < end; i++) {
    // Touching comes from everywhere at once, so that no page announces the next.
    uint64_t page = job == JOB_TOUCH ? scatter(i, workload->ram->page_count, workload->pattern.seed) : i;
    do_job_page(workload, job, page, &slice);
  }
  pthread_mutex_lock(&workload->mutex);
  workload->job_working--;
  workload->job_result.pages += slice.pages;
  for (int i = 0; i < FINDING_COUNT; i++) workload->job_result.findings[i] += slice.findings[i];
}

static bool has_job_pages(const struct workload* workload) {
  return workload->job != JOB_NONE && workload->job_next < workload->ram->page_count;
}

static bool is_job_done(const struct workload* workload) {
  return workload->job != JOB_NONE && !has_job_pages(workload) && workload->job_working == 0;
}

static void* work(void* argument) {
  struct worker* worker = argument;
  struct workload* workload = worker->workload;
  atomic_store(&worker->tid, gettid());
  pthread_mutex_lock(&workload->mutex);
  for (;;) {
    if (has_job_pages(workload)) {
      do_job_slice(workload);
      if (is_job_done(workload)) workload->notify();
    } else if (atomic_load(&workload->running)) {
      workload->operating++;
      pthread_mutex_unlock(&workload->mutex);
      for (int i = 0; i < BURST && atomic_load(&workload->running); i++) operate(worker);
      pthread_mutex_lock(&workload->mutex);
      if (--workload->operating == 0 && !atomic_load(&workload->running)) workload->notify();
    } else {
      pthread_cond_wait(&workload->wake, &workload->mutex);
    }
  }
  return NULL;
}

static uint64_t take_worst_ns(struct workload* workload) {
  uint64_t worst = 0;
  uint64_t now = now_ns();
  for (uint32_t i = 0; i < workload->options.threads; i++) {
    struct worker* worker = &workload->workers[i];
    uint64_t finished = atomic_exchange(&worker->worst_ns, 0);
    uint64_t started = atomic_load(&worker->started_ns);
    uint64_t waiting = started != 0 && started < now ? now - started : 0;
    if (finished > worst) worst = finished;
    if (waiting > worst) worst = waiting;
  }
  return worst;
}

// The guest's own view of itself. Like a real guest it says nothing while it is stopped.
static void* tick(void* argument) {
  struct workload* workload = argument;
  for (;;) {
    sleep_us(workload->options.tick_ms * 1000);
    if (!atomic_load(&workload->running)) continue;
    printf("TICK seq=%llu ops=%llu mismatches=%llu worst_us=%llu at_us=%llu\n",
           (unsigned long long)atomic_fetch_add(&workload->ticks, 1) + 1,
           (unsigned long long)atomic_load(&workload->operations),
           (unsigned long long)atomic_load(&workload->mismatches),
           (unsigned long long)take_worst_ns(workload) / 1000, (unsigned long long)now_ns() / 1000);
    fflush(stdout);
  }
  return NULL;
}

static void start_thread(pthread_t* thread, void* (*run)(void*), void* argument) {
  int error = pthread_create(thread, NULL, run, argument);
  if (error == 0) return;
  fprintf(stderr, "process guest: cannot start a thread: %s\n", strerror(error));
  exit(1);
}

void workload_start(struct workload* workload) {
  for (uint32_t i = 0; i < workload->options.threads; i++) {
    struct worker* worker = &workload->workers[i];
    start_thread(&worker->thread, work, worker);
    while (atomic_load(&worker->tid) == 0) sched_yield();
  }
  pthread_t ticker;
  start_thread(&ticker, tick, workload);
}

void workload_run(struct workload* workload) {
  pthread_mutex_lock(&workload->mutex);
  atomic_store(&workload->running, true);
  pthread_cond_broadcast(&workload->wake);
  pthread_mutex_unlock(&workload->mutex);
}

void workload_park(struct workload* workload) {
  pthread_mutex_lock(&workload->mutex);
  atomic_store(&workload->running, false);
  pthread_mutex_unlock(&workload->mutex);
}

bool workload_is_parked(struct workload* workload) {
  pthread_mutex_lock(&workload->mutex);
  bool is_parked = !atomic_load(&workload->running) && workload->operating == 0;
  pthread_mutex_unlock(&workload->mutex);
  return is_parked;
}

bool workload_start_job(struct workload* workload, enum job_kind kind) {
  pthread_mutex_lock(&workload->mutex);
  // A finished job whose client has gone is nobody's any more.
  bool is_free = workload->job == JOB_NONE || is_job_done(workload);
  if (is_free) {
    workload->job = kind;
    workload->job_next = 0;
    workload->job_result = (struct job_result){0};
    pthread_cond_broadcast(&workload->wake);
  }
  pthread_mutex_unlock(&workload->mutex);
  return is_free;
}

bool workload_take_job(struct workload* workload, struct job_result* result) {
  pthread_mutex_lock(&workload->mutex);
  bool is_done = is_job_done(workload);
  if (is_done) {
    *result = workload->job_result;
    workload->job = JOB_NONE;
  }
  pthread_mutex_unlock(&workload->mutex);
  return is_done;
}
