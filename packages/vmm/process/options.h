// The command line.
#ifndef UMEM_PROCESS_OPTIONS_H
#define UMEM_PROCESS_OPTIONS_H

#include <stdbool.h>

#include "pattern.h"
#include "qmp.h"
#include "ram.h"
#include "workload.h"

struct options {
  const char* name;
  const char* qmp_paths[QMP_MAX_SOCKETS];
  int qmp_count;
  bool is_incoming;
  bool is_paused;
  bool dies_with_parent;
  struct ram ram;
  struct workload_options workload;
  struct pattern pattern;
};

// Returns 0, or -1 after it has said on stderr what is wrong.
int options_parse(struct options* options, int argc, char** argv);

#endif
