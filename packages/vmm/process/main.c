// A process that looks like a virtual machine to umem: shared RAM, a workload that verifies every
// byte it reads, and enough QMP to be stopped, saved, loaded and run.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "machine.h"
#include "options.h"
#include "qmp.h"

int main(int argc, char** argv) {
  static struct options options;  // large, and needed to the end
  static struct workload workload;
  static struct machine machine;
  if (options_parse(&options, argc, argv) != 0) return 2;
  if (options.dies_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Whoever read the ticks may be gone; the guest goes on.
  signal(SIGPIPE, SIG_IGN);

  if (ram_map(&options.ram) != 0) return 1;
  workload.options = options.workload;
  workload.pattern = options.pattern;
  workload.notify = qmp_notify;
  workload_init(&workload, &options.ram);
  // An incoming guest must not touch RAM before its pages can arrive.
  if (!options.is_incoming) workload_fill(&workload);

  machine.name = options.name;
  machine.ram = &options.ram;
  machine.workload = &workload;
  machine.run_state = options.is_incoming ? RUN_INMIGRATE : RUN_PRELAUNCH;
  machine.max_bandwidth = 134217728;
  if (migration_init(&machine.migration, &workload) != 0) {
    perror("process guest: pipe");
    return 1;
  }
  if (qmp_listen(options.qmp_paths, options.qmp_count) != 0) return 1;
  workload_start(&workload);
  if (!options.is_incoming && !options.is_paused) {
    machine.run_state = RUN_RUNNING;
    workload_run(&workload);
  }
  return qmp_serve(&machine);
}
