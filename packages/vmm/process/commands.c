#include "commands.h"

#include <stdio.h>
#include <string.h>

static void refuse(struct command_result* result, const char* error_class, const char* description) {
  result->outcome = COMMAND_REFUSED;
  result->error_class = error_class;
  result->reply.length = 0;
  text_append(&result->reply, "%s", description);
}

static void fail(struct command_result* result, const char* description) {
  refuse(result, "GenericError", description);
}

static void query_version(struct machine* machine, const struct json_node* arguments,
                          struct command_result* result) {
  (void)machine, (void)arguments;
  text_append(&result->reply,
              "{\"qemu\":{\"major\":0,\"minor\":1,\"micro\":0},\"package\":\"umem process guest\"}");
}

static void query_name(struct machine* machine, const struct json_node* arguments,
                       struct command_result* result) {
  (void)arguments;
  text_append(&result->reply, "{\"name\":");
  text_append_quoted(&result->reply, machine->name);
  text_append(&result->reply, "}");
}

static void query_status(struct machine* machine, const struct json_node* arguments,
                         struct command_result* result) {
  (void)arguments;
  text_append(&result->reply, "{\"running\":%s,\"singlestep\":false,\"status\":\"%s\"}",
              machine->run_state == RUN_RUNNING ? "true" : "false", machine_run_state_name(machine));
}

static void query_cpus(struct machine* machine, const struct json_node* arguments,
                       struct command_result* result) {
  (void)arguments;
  text_append(&result->reply, "[");
  for (uint32_t i = 0; i < machine->workload->options.threads; i++)
    text_append(&result->reply, "%s{\"cpu-index\":%u,\"thread-id\":%d}", i ? "," : "", i,
                (int)machine->workload->workers[i].tid);
  text_append(&result->reply, "]");
}

static void query_memdev(struct machine* machine, const struct json_node* arguments,
                         struct command_result* result) {
  (void)arguments;
  text_append(&result->reply, "[");
  for (size_t i = 0; i < machine->ram->block_count; i++) {
    text_append(&result->reply, "%s{\"id\":", i ? "," : "");
    text_append_quoted(&result->reply, machine->ram->blocks[i].id);
    text_append(&result->reply, ",\"size\":%llu,\"share\":true,\"prealloc\":false}",
                (unsigned long long)machine->ram->blocks[i].size);
  }
  text_append(&result->reply, "]");
}

static void query_memory_size(struct machine* machine, const struct json_node* arguments,
                              struct command_result* result) {
  (void)arguments;
  text_append(&result->reply, "{\"base-memory\":%llu,\"plugged-memory\":0}",
              (unsigned long long)machine->ram->page_count * PAGE_BYTES);
}

static const struct ram_block* find_object(const struct machine* machine, const char* path) {
  static const char prefix[] = "/objects/";
  if (strncmp(path, prefix, sizeof prefix - 1) != 0) return NULL;
  for (size_t i = 0; i < machine->ram->block_count; i++)
    if (strcmp(machine->ram->blocks[i].id, path + sizeof prefix - 1) == 0) return &machine->ram->blocks[i];
  return NULL;
}

static const char* backend_type(const struct ram_block* block) {
  return block->path[0] ? "memory-backend-file" : "memory-backend-memfd";
}

static void qom_list(struct machine* machine, const struct json_node* arguments,
                     struct command_result* result) {
  const char* path = json_string_member(arguments, "path");
  if (!path) return fail(result, "Parameter 'path' is missing");
  const struct ram_block* block = find_object(machine, path);
  static const char type_property[] = "{\"name\":\"type\",\"type\":\"string\"}";
  if (block) {
    text_append(&result->reply,
                "[%s,{\"name\":\"share\",\"type\":\"bool\"},{\"name\":\"size\",\"type\":\"int\"}%s]",
                type_property, block->path[0] ? ",{\"name\":\"mem-path\",\"type\":\"string\"}" : "");
  } else if (strcmp(path, "/objects") == 0) {
    text_append(&result->reply, "[%s", type_property);
    for (size_t i = 0; i < machine->ram->block_count; i++) {
      text_append(&result->reply, ",{\"name\":");
      text_append_quoted(&result->reply, machine->ram->blocks[i].id);
      text_append(&result->reply, ",\"type\":\"child<%s>\"}", backend_type(&machine->ram->blocks[i]));
    }
    text_append(&result->reply, "]");
  } else if (strcmp(path, "/machine/peripheral") == 0 || strcmp(path, "/machine/peripheral-anon") == 0) {
    text_append(&result->reply, "[%s]", type_property);
  } else {
    refuse(result, "DeviceNotFound", "There is no such object");
  }
}

static void qom_get(struct machine* machine, const struct json_node* arguments,
                    struct command_result* result) {
  const char* path = json_string_member(arguments, "path");
  const char* property = json_string_member(arguments, "property");
  if (!path || !property) return fail(result, "Parameters 'path' and 'property' are needed");
  const struct ram_block* block = find_object(machine, path);
  if (!block) return refuse(result, "DeviceNotFound", "There is no such object");
  if (strcmp(property, "type") == 0)
    text_append_quoted(&result->reply, backend_type(block));
  else if (strcmp(property, "size") == 0)
    text_append(&result->reply, "%llu", (unsigned long long)block->size);
  else if (strcmp(property, "share") == 0)
    text_append(&result->reply, "true");
  else if (strcmp(property, "mem-path") == 0 && block->path[0])
    text_append_quoted(&result->reply, block->path);
  else
    fail(result, "There is no such property");
}

static void stop(struct machine* machine, const struct json_node* arguments, struct command_result* result) {
  (void)arguments;
  if (machine->run_state != RUN_RUNNING) {
    text_append(&result->reply, "{}");
    return;
  }
  machine->run_state = RUN_PAUSED;
  workload_park(machine->workload);
  result->outcome = COMMAND_WAIT_STOP;
}

static void cont(struct machine* machine, const struct json_node* arguments, struct command_result* result) {
  (void)arguments;
  if (machine->run_state == RUN_INMIGRATE)
    return fail(result, "The guest waits for device state, so it cannot run yet");
  text_append(&result->reply, "{}");
  if (machine->run_state == RUN_RUNNING) return;
  machine->run_state = RUN_RUNNING;
  workload_run(machine->workload);
  result->event = "RESUME";
}

static void quit(struct machine* machine, const struct json_node* arguments, struct command_result* result) {
  (void)arguments;
  machine->is_quitting = true;
  text_append(&result->reply, "{}");
}

static void query_capabilities(struct machine* machine, const struct json_node* arguments,
                               struct command_result* result) {
  (void)arguments;
  text_append(&result->reply,
              "[{\"capability\":\"events\",\"state\":%s},{\"capability\":\"x-ignore-shared\",\"state\":%s}]",
              machine->events ? "true" : "false", machine->ignore_shared ? "true" : "false");
}

static void set_capabilities(struct machine* machine, const struct json_node* arguments,
                             struct command_result* result) {
  const struct json_node* list = json_member(arguments, "capabilities");
  if (!list || list->type != JSON_ARRAY) return fail(result, "Parameter 'capabilities' is missing");
  if (machine_is_migrating(machine)) return fail(result, "There's a migration process in progress");
  bool events = machine->events;
  bool ignore_shared = machine->ignore_shared;
  for (const struct json_node* item = list->first; item; item = item->next) {
    const char* name = json_string_member(item, "capability");
    const struct json_node* state = json_member(item, "state");
    if (!name || !state || state->type != JSON_BOOLEAN)
      return fail(result, "Not a capability with its state");
    if (strcmp(name, "events") == 0)
      events = state->boolean;
    else if (strcmp(name, "x-ignore-shared") == 0)
      ignore_shared = state->boolean;
    else
      return fail(result, "Parameter 'capability' does not accept that value");
  }
  machine->events = events;
  machine->ignore_shared = ignore_shared;
  text_append(&result->reply, "{}");
}

static void query_parameters(struct machine* machine, const struct json_node* arguments,
                             struct command_result* result) {
  (void)arguments;
  text_append(&result->reply, "{\"max-bandwidth\":%lld,\"tls-creds\":\"\"}", machine->max_bandwidth);
}

static void set_parameters(struct machine* machine, const struct json_node* arguments,
                           struct command_result* result) {
  const struct json_node* bandwidth = json_member(arguments, "max-bandwidth");
  if (!bandwidth || bandwidth->type != JSON_INTEGER || bandwidth->integer < 0)
    return fail(result, "Only parameter 'max-bandwidth' can be set, in bytes per second");
  machine->max_bandwidth = bandwidth->integer;
  text_append(&result->reply, "{}");
}

// Path of the socket in a "unix:PATH" uri; NULL, with the refusal, when it is none.
static const char* to_socket_path(const struct json_node* arguments, struct command_result* result) {
  const char* uri = json_string_member(arguments, "uri");
  if (uri && strncmp(uri, "unix:", 5) == 0 && uri[5] && strlen(uri) - 5 < sizeof((struct migration*)0)->path)
    return uri + 5;
  fail(result, "Parameter 'uri' expects unix:PATH, with a PATH of at most 107 bytes");
  return NULL;
}

static void migrate(struct machine* machine, const struct json_node* arguments,
                    struct command_result* result) {
  const char* path = to_socket_path(arguments, result);
  if (!path) return;
  if (machine_is_migrating(machine)) return fail(result, "There's a migration process in progress");
  if (machine->run_state == RUN_INMIGRATE) return fail(result, "Guest is waiting for an incoming migration");
  if (machine->run_state == RUN_RUNNING)
    return fail(result, "A process guest must be stopped before it migrates");
  if (!machine->ignore_shared) return fail(result, "A process guest migrates only with x-ignore-shared");
  machine->migration_status = MIGRATION_SETUP;
  machine->migration_error[0] = '\0';
  migration_save(&machine->migration, path);
  text_append(&result->reply, "{}");
}

static void migrate_cancel(struct machine* machine, const struct json_node* arguments,
                           struct command_result* result) {
  (void)arguments;
  if (machine_is_migrating(machine) && machine->run_state != RUN_INMIGRATE) {
    machine->migration_status = MIGRATION_CANCELLING;
    migration_cancel(&machine->migration);
  }
  text_append(&result->reply, "{}");
}

static void migrate_incoming(struct machine* machine, const struct json_node* arguments,
                             struct command_result* result) {
  const char* path = to_socket_path(arguments, result);
  if (!path) return;
  if (machine->run_state != RUN_INMIGRATE)
    return fail(result, "'-incoming' was not specified on the command line");
  if (machine->is_incoming_started) return fail(result, "The incoming migration has already been started");
  if (!machine->ignore_shared) return fail(result, "A process guest migrates only with x-ignore-shared");
  char error[MIGRATION_MAX_ERROR];
  if (migration_load(&machine->migration, path, error) != 0) return fail(result, error);
  machine->is_incoming_started = true;
  text_append(&result->reply, "{}");
}

static void query_migrate(struct machine* machine, const struct json_node* arguments,
                          struct command_result* result) {
  (void)arguments;
  text_append(&result->reply, "{");
  if (machine->migration_status != MIGRATION_NONE)
    text_append(&result->reply, "\"status\":\"%s\"", migration_status_name(machine->migration_status));
  if (machine->migration_status == MIGRATION_FAILED) {
    text_append(&result->reply, ",\"error-desc\":");
    text_append_quoted(&result->reply, machine->migration_error);
  }
  text_append(&result->reply, "}");
}

static void start_job(struct machine* machine, enum job_kind kind, struct command_result* result) {
  if (machine->run_state == RUN_INMIGRATE) return fail(result, "The guest waits for device state");
  if (!workload_start_job(machine->workload, kind))
    return fail(result, "The workers are busy with another job");
  result->outcome = COMMAND_WAIT_JOB;
}

static void touch_all(struct machine* machine, const struct json_node* arguments,
                      struct command_result* result) {
  (void)arguments;
  start_job(machine, JOB_TOUCH, result);
}

static void verify_all(struct machine* machine, const struct json_node* arguments,
                       struct command_result* result) {
  (void)arguments;
  start_job(machine, JOB_VERIFY, result);
}

static const struct {
  const char* name;
  void (*run)(struct machine*, const struct json_node*, struct command_result*);
} COMMANDS[] = {
    {"query-version", query_version},
    {"query-name", query_name},
    {"query-status", query_status},
    {"query-cpus-fast", query_cpus},
    {"query-memdev", query_memdev},
    {"query-memory-size-summary", query_memory_size},
    {"qom-list", qom_list},
    {"qom-get", qom_get},
    {"stop", stop},
    {"cont", cont},
    {"quit", quit},
    {"query-migrate-capabilities", query_capabilities},
    {"migrate-set-capabilities", set_capabilities},
    {"query-migrate-parameters", query_parameters},
    {"migrate-set-parameters", set_parameters},
    {"migrate", migrate},
    {"migrate_cancel", migrate_cancel},
    {"migrate-incoming", migrate_incoming},
    {"query-migrate", query_migrate},
    {"x-touch-all", touch_all},
    {"x-verify-all", verify_all},
};

void command_run(struct machine* machine, const char* name, const struct json_node* arguments,
                 struct command_result* result) {
  result->outcome = COMMAND_DONE;
  result->event = NULL;
  for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
    if (strcmp(COMMANDS[i].name, name) != 0) continue;
    COMMANDS[i].run(machine, arguments, result);
    return;
  }
  char description[160];
  snprintf(description, sizeof description, "The command %.80s has not been found", name);
  refuse(result, "CommandNotFound", description);
}

void command_write_job(struct text* reply, const struct job_result* job) {
  uint64_t mismatches = 0;
  for (int i = FINDING_STALE; i < FINDING_COUNT; i++) mismatches += job->findings[i];
  text_append(reply, "{\"pages\":%llu,\"mismatches\":%llu", (unsigned long long)job->pages,
              (unsigned long long)mismatches);
  for (int i = FINDING_STALE; i < FINDING_COUNT; i++)
    text_append(reply, ",\"%s\":%llu", finding_name((enum finding)i), (unsigned long long)job->findings[i]);
  text_append(reply, "}");
}
