// The guest as QMP shows it. Everything here belongs to the QMP thread.
#ifndef UMEM_PROCESS_MACHINE_H
#define UMEM_PROCESS_MACHINE_H

#include <stdbool.h>

#include "migration.h"
#include "workload.h"

// In QEMU's words.
enum run_state { RUN_PRELAUNCH, RUN_RUNNING, RUN_PAUSED, RUN_INMIGRATE, RUN_POSTMIGRATE };

struct machine {
  const char* name;
  struct ram* ram;
  struct workload* workload;
  struct migration migration;
  enum run_state run_state;
  enum migration_status migration_status;
  char migration_error[MIGRATION_MAX_ERROR];
  bool is_incoming_started;
  bool is_quitting;
  // Migration capabilities and parameters.
  bool ignore_shared;
  bool events;
  long long max_bandwidth;
};

const char* machine_run_state_name(const struct machine* machine);

// Whether a migration is under way.
bool machine_is_migrating(const struct machine* machine);

#endif
