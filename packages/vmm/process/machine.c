#include "machine.h"

const char* machine_run_state_name(const struct machine* machine) {
  static const char* const names[] = {"prelaunch", "running", "paused", "inmigrate", "postmigrate"};
  return names[machine->run_state];
}

bool machine_is_migrating(const struct machine* machine) {
  return machine->migration_status == MIGRATION_SETUP || machine->migration_status == MIGRATION_ACTIVE ||
         machine->migration_status == MIGRATION_CANCELLING;
}
