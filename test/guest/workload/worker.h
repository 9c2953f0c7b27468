#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* Counters of one worker, on a cache line of their own; the ticker reads them. */
struct counters {
  _Alignas(64) atomic_uint_fast64_t operations; /* pages verified */
  atomic_uint_fast64_t mismatches;              /* pages that were not as expected */
  atomic_uint_fast64_t worst_us;                /* longest operation since the last tick */
  atomic_uint_fast64_t sweeps;                  /* times that every page of the worker was verified */
};

/* The memory under test and the version that each page of it should have. */
struct working_set {
  uint64_t* memory;
  uint32_t* versions;
  uint32_t pages;
};

/* Maps and fills the memory, spread over all NUMA nodes so that it lies in every RAM block. */
struct working_set create_working_set(uint32_t mib);

/* Starts a thread that owns pages `first`, `first + stride`, … and visits them for ever. */
void start_worker(const struct working_set* set, uint32_t first, uint32_t stride, uint32_t write_percent,
                  struct counters* counters);

/* Adds one operation that began at `began_us`. */
void count_operation(struct counters* counters, uint64_t began_us);

/* Counts and, for the first few, describes a page that is not as expected. */
void count_mismatch(struct counters* counters, const char* where, const uint64_t* page, uint32_t index,
                    uint32_t version, int word);
