// The QMP commands: QEMU's own names and shapes, so that what drives QEMU drives this guest too.
#ifndef UMEM_PROCESS_COMMANDS_H
#define UMEM_PROCESS_COMMANDS_H

#include "json.h"
#include "machine.h"
#include "text.h"

enum command_outcome {
  COMMAND_DONE,       // `reply` holds the JSON value to return
  COMMAND_REFUSED,    // `reply` holds the description, `error_class` the class
  COMMAND_WAIT_STOP,  // answers {} when the workload is parked
  COMMAND_WAIT_JOB,   // answers when the workers' job is done
};

struct command_result {
  enum command_outcome outcome;
  const char* error_class;
  const char* event;  // to send with COMMAND_DONE; NULL when there is none
  struct text reply;
};

// Runs one command. Never touches guest RAM.
void command_run(struct machine* machine, const char* name, const struct json_node* arguments,
                 struct command_result* result);

// The reply of a finished job.
void command_write_job(struct text* reply, const struct job_result* job);

#endif
