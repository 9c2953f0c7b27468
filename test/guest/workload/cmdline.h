#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What the kernel command line asks for. */
struct options {
  uint32_t working_set_mib; /* umem.ws: memory to fill and verify, in MiB */
  uint32_t write_percent;   /* umem.write: share of operations that write, 0 to 100 */
  uint32_t threads;         /* umem.threads: workers; 0 means one per CPU */
  uint32_t tick_ms;         /* umem.tick: milliseconds between two TICK lines */
  bool disk;                /* umem.disk: also write and verify /dev/vda */
};

/* Reads /proc/cmdline over the defaults. Values that are no numbers end the program. */
struct options read_options(void);
