#define _GNU_SOURCE
#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"

enum {
  MAX_UNSENT = 1 << 20,  // bytes that a client may leave unread
};

// One listening socket and its client.
struct port {
  const char* path;
  int listener;
  int client;  // -1 when there is none
  bool is_negotiated;
  // The command that is not answered yet; later commands of the client wait.
  enum command_outcome waiting;  // COMMAND_DONE when there is none
  struct text waiting_id;
  char input[JSON_MAX_BYTES];
  size_t input_length;
  struct text output;
};

static struct port ports[QMP_MAX_SOCKETS];
static int port_count;
static int notifier = -1;  // eventfd(2)
static struct json_document document;

void qmp_notify(void) {
  uint64_t one = 1;
  // Fails only when a wake-up is pending already.
  if (write(notifier, &one, sizeof one) != sizeof one) return;
}

static void drop_client(struct port* port) {
  close(port->client);
  port->client = -1;
  port->waiting = COMMAND_DONE;
  port->input_length = 0;
  text_free(&port->output);
  text_free(&port->waiting_id);
}

static void flush(struct port* port) {
  while (port->client >= 0 && port->output.length > 0) {
    ssize_t sent = send(port->client, port->output.bytes, port->output.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
      text_consume(&port->output, (size_t)sent);
    else if (sent < 0 && errno == EINTR)
      continue;
    else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && port->output.length <= MAX_UNSENT)
      return;
    else
      drop_client(port);
  }
}

static void emit(const char* event, const char* data) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  for (int i = 0; i < port_count; i++) {
    if (ports[i].client < 0 || !ports[i].is_negotiated) continue;
    text_append(&ports[i].output,
                "{\"timestamp\":{\"seconds\":%lld,\"microseconds\":%ld},\"event\":\"%s\"%s%s}\r\n",
                (long long)now.tv_sec, now.tv_nsec / 1000, event, *data ? ",\"data\":" : "", data);
    flush(&ports[i]);
  }
}

static void reply(struct port* port, const struct text* id, const char* value) {
  text_append(&port->output, "{\"return\":%s", value);
  if (id->length > 0) text_append(&port->output, ",\"id\":%s", id->bytes);
  text_append(&port->output, "}\r\n");
  flush(port);
}

static void reply_error(struct port* port, const struct text* id, const char* error_class,
                        const char* description) {
  text_append(&port->output, "{\"error\":{\"class\":\"%s\",\"desc\":", error_class);
  text_append_quoted(&port->output, description);
  text_append(&port->output, "}");
  if (id->length > 0) text_append(&port->output, ",\"id\":%s", id->bytes);
  text_append(&port->output, "}\r\n");
  flush(port);
}

// Answers a client whose command has come to its end.
static void answer_waiting(struct port* port, struct machine* machine) {
  struct text value = {0};
  struct job_result job;
  if (port->waiting == COMMAND_WAIT_STOP &&
      (machine->run_state == RUN_RUNNING || workload_is_parked(machine->workload))) {
    text_append(&value, "{}");
    emit("STOP", "");
  } else if (port->waiting == COMMAND_WAIT_JOB && workload_take_job(machine->workload, &job)) {
    command_write_job(&value, &job);
  }
  if (value.length > 0 && port->client >= 0) {
    port->waiting = COMMAND_DONE;
    reply(port, &port->waiting_id, value.bytes);
    text_free(&port->waiting_id);
  }
  text_free(&value);
}

static void run_command(struct port* port, struct machine* machine, const struct json_node* request,
                        struct text* id) {
  const char* name = json_string_member(request, "execute");
  if (!name) return reply_error(port, id, "GenericError", "QMP input lacks member 'execute'");
  if (!port->is_negotiated) {
    if (strcmp(name, "qmp_capabilities") != 0)
      return reply_error(port, id, "CommandNotFound",
                         "Expecting capabilities negotiation with 'qmp_capabilities'");
    port->is_negotiated = true;
    return reply(port, id, "{}");
  }
  struct command_result result = {0};
  command_run(machine, name, json_member(request, "arguments"), &result);
  switch (result.outcome) {
    case COMMAND_DONE:
      if (result.event) emit(result.event, "");
      reply(port, id, result.reply.bytes);
      break;
    case COMMAND_REFUSED:
      reply_error(port, id, result.error_class, result.reply.bytes);
      break;
    case COMMAND_WAIT_STOP:
    case COMMAND_WAIT_JOB:
      port->waiting = result.outcome;
      port->waiting_id = *id;
      *id = (struct text){0};
      answer_waiting(port, machine);
      break;
  }
  text_free(&result.reply);
}

static void take_line(struct port* port, struct machine* machine, size_t length) {
  const struct json_node* request = json_parse(&document, port->input, length);
  struct text id = {0};
  const struct json_node* given = json_member(request, "id");
  if (given) json_write(&id, given);
  if (!request || request->type != JSON_OBJECT)
    reply_error(port, &id, "GenericError", "JSON parse error, or a command that is too large");
  else
    run_command(port, machine, request, &id);
  text_free(&id);
}

static void take_input(struct port* port, struct machine* machine) {
  while (port->client >= 0 && port->waiting == COMMAND_DONE && !machine->is_quitting) {
    char* newline = memchr(port->input, '\n', port->input_length);
    if (!newline && port->input_length == sizeof port->input) {
      struct text no_id = {0};
      reply_error(port, &no_id, "GenericError", "A command is longer than 64 KiB");
      if (port->client >= 0) drop_client(port);
    }
    if (!newline) return;
    size_t length = (size_t)(newline - port->input);
    size_t blank = strspn(port->input, " \t\r");
    if (blank < length) take_line(port, machine, length);
    if (port->client < 0) return;
    port->input_length -= length + 1;
    memmove(port->input, newline + 1, port->input_length);
  }
}

static void read_client(struct port* port, struct machine* machine) {
  ssize_t got = recv(port->client, port->input + port->input_length, sizeof port->input - port->input_length,
                     MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return drop_client(port);
  port->input_length += (size_t)got;
  take_input(port, machine);
}

static void accept_client(struct port* port) {
  port->client = accept4(port->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (port->client < 0) return;
  port->is_negotiated = false;
  text_append(&port->output,
              "{\"QMP\":{\"version\":{\"qemu\":{\"major\":0,\"minor\":1,\"micro\":0},"
              "\"package\":\"umem process guest\"},\"capabilities\":[]}}\r\n");
  flush(port);
}

// Takes over what the migration's thread has reported. Returns false when loading has failed.
static bool take_migration_message(struct machine* machine) {
  struct migration_message message;
  if (read(machine->migration.messages[0], &message, sizeof message) != sizeof message) return true;
  // A cancelled save is still on its way to its end.
  bool is_final = message.status == MIGRATION_COMPLETED || message.status == MIGRATION_FAILED ||
                  message.status == MIGRATION_CANCELLED;
  if (machine->migration_status == MIGRATION_CANCELLING && !is_final) return true;
  machine->migration_status = message.status;
  memcpy(machine->migration_error, message.error, sizeof message.error);
  bool is_load = machine->run_state == RUN_INMIGRATE;
  if (message.status == MIGRATION_COMPLETED) machine->run_state = is_load ? RUN_PAUSED : RUN_POSTMIGRATE;
  if (machine->events) {
    char data[64];
    snprintf(data, sizeof data, "{\"status\":\"%s\"}", migration_status_name(message.status));
    emit("MIGRATION", data);
  }
  if (message.status != MIGRATION_FAILED || !is_load) return true;
  fprintf(stderr, "process guest: load of migration failed: %s\n", message.error);
  return false;
}

int qmp_listen(const char* const* paths, int path_count) {
  notifier = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  for (; port_count < path_count; port_count++) {
    struct port* port = &ports[port_count];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *port = (struct port){.path = paths[port_count], .client = -1};
    if (strlen(port->path) >= sizeof address.sun_path) {
      fprintf(stderr, "process guest: %s is too long for a socket\n", port->path);
      return -1;
    }
    strcpy(address.sun_path, port->path);
    unlink(port->path);
    port->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (port->listener < 0 || bind(port->listener, (struct sockaddr*)&address, sizeof address) != 0 ||
        listen(port->listener, 8) != 0) {
      fprintf(stderr, "process guest: cannot listen on %s: %s\n", port->path, strerror(errno));
      return -1;
    }
  }
  return 0;
}

static int leave(int code) {
  for (int i = 0; i < port_count; i++) unlink(ports[i].path);
  return code;
}

int qmp_serve(struct machine* machine) {
  while (!machine->is_quitting) {
    struct pollfd polled[2 + QMP_MAX_SOCKETS] = {
        {.fd = notifier, .events = POLLIN},
        {.fd = machine->migration.messages[0], .events = POLLIN},
    };
    for (int i = 0; i < port_count; i++) {
      struct port* port = &ports[i];
      struct pollfd* entry = &polled[2 + i];
      if (port->client < 0) {
        *entry = (struct pollfd){.fd = port->listener, .events = POLLIN};
      } else {
        bool may_read = port->waiting == COMMAND_DONE && port->input_length < sizeof port->input;
        *entry = (struct pollfd){.fd = port->client, .events = (short)(may_read ? POLLIN : 0)};
        if (port->output.length > 0) entry->events |= POLLOUT;
      }
    }
    if (poll(polled, (nfds_t)(2 + port_count), -1) < 0 && errno != EINTR) return leave(1);
    uint64_t count;
    if (polled[0].revents && read(notifier, &count, sizeof count) < 0 && errno != EAGAIN) return leave(1);
    if (polled[1].revents && !take_migration_message(machine)) return leave(1);
    for (int i = 0; i < port_count; i++) {
      struct port* port = &ports[i];
      short events = polled[2 + i].revents;
      if (port->waiting != COMMAND_DONE) answer_waiting(port, machine);
      take_input(port, machine);
      if (events == 0) continue;
      if (polled[2 + i].fd == port->listener) {
        accept_client(port);
      } else if (port->client >= 0) {
        if (events & POLLOUT) flush(port);
        if (port->client >= 0 && (events & (POLLIN | POLLHUP | POLLERR))) {
          if (port->waiting == COMMAND_DONE)
            read_client(port, machine);
          else if (events & (POLLHUP | POLLERR))
            drop_client(port);
        }
      }
    }
  }
  return leave(0);
}
