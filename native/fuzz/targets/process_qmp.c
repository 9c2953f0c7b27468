/*
 * The process guest's QMP server, to which whoever may connect can say anything, in any pieces, on both
 * sockets. The input is a script: a byte that chooses the socket (bit 7) and a length, then so many bytes.
 * Length 0 hangs up, 127 sends the next byte many times over.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../target.h"

/* The server's own loop runs; what it calls comes here, so that nothing waits and nobody has to connect. */
static int step_and_poll(struct pollfd* polled, nfds_t count, int timeout);
static int accept_peer(int listener);
#define poll step_and_poll
#define accept4(listener, address, size, flags) accept_peer(((void)(address), (void)(size), (listener)))
#include "qmp.c"
#undef poll
#undef accept4

enum { MANY = 4096, IDLE_TURNS = 6, LEAST_BYTES_OF_1000_NODES = 2000 };

struct peer {
  int socket;       /* -1 when it is not connected */
  struct text said; /* by the server, not looked at yet */
  size_t lines;     /* sent since it connected */
  size_t replies;
  bool is_greeted;
};

static struct peer peers[QMP_MAX_SOCKETS];
static struct machine machine;
static struct workload workload;
static struct ram ram;
static const uint8_t* script;
static size_t script_size;
static int idle_turns;
static bool is_park_asked;
static enum job_kind job;

/* The workload and the migration: they answer at once, or one turn later. */

void workload_run(struct workload* of) {
  (void)of;
  is_park_asked = false;
}

void workload_park(struct workload* of) {
  (void)of;
  is_park_asked = true;
}

bool workload_is_parked(struct workload* of) {
  (void)of;
  return is_park_asked && idle_turns % 2 == 1;
}

bool workload_start_job(struct workload* of, enum job_kind kind) {
  (void)of;
  if (job != JOB_NONE) return false;
  job = kind;
  return true;
}

bool workload_take_job(struct workload* of, struct job_result* result) {
  (void)of;
  if (job == JOB_NONE || idle_turns % 2 == 0) return false;
  *result = (struct job_result){.pages = 24};
  job = JOB_NONE;
  return true;
}

static void report(enum migration_status status, const char* error) {
  struct migration_message message = {.status = status};
  snprintf(message.error, sizeof(message.error), "%s", error);
  PROPERTY(write(machine.migration.messages[1], &message, sizeof(message)) == sizeof(message));
}

void migration_save(struct migration* migration, const char* path) {
  PROPERTY(strlen(path) < sizeof(migration->path));
  report(MIGRATION_SETUP, "");
  const bool is_good = path[1] != '!';
  report(is_good ? MIGRATION_COMPLETED : MIGRATION_FAILED, is_good ? "" : path);
}

int migration_load(struct migration* migration, const char* path, char error[MIGRATION_MAX_ERROR]) {
  PROPERTY(strlen(path) < sizeof(migration->path));
  if (path[1] == '!') {
    snprintf(error, MIGRATION_MAX_ERROR, "Failed to bind socket to %s", path);
    return -1;
  }
  report(MIGRATION_COMPLETED, "");
  return 0;
}

void migration_cancel(struct migration* migration) { (void)migration; }

const char* migration_status_name(enum migration_status status) {
  PROPERTY(status <= MIGRATION_CANCELLED);
  return "status";
}

/* The peers. */

static void hang_up(struct peer* peer) {
  if (peer->socket >= 0) close(peer->socket);
  text_free(&peer->said);
  *peer = (struct peer){.socket = -1};
}

static int accept_peer(int listener) {
  const int index = listener == ports[0].listener ? 0 : 1;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) abort();
  hang_up(&peers[index]); /* dropped before */
  peers[index] = (struct peer){.socket = pair[0]};
  return pair[1];
}

static void check_line(struct peer* peer, const char* line, size_t length) {
  static struct json_document told;
  const struct json_node* root = json_parse(&told, line, length);
  /* What a client sent as its id comes back, and may be more than fits a document. */
  PROPERTY(root != NULL || length > LEAST_BYTES_OF_1000_NODES);
  if (root == NULL) return;
  PROPERTY(root->type == JSON_OBJECT);
  if (!peer->is_greeted) PROPERTY(json_member(root, "QMP") != NULL);
  peer->is_greeted = true;
  if (json_member(root, "return") != NULL || json_member(root, "error") != NULL) peer->replies++;
}

static void hear(struct peer* peer) {
  char part[4096];
  ssize_t got;
  while ((got = recv(peer->socket, part, sizeof(part), 0)) > 0)
    text_append(&peer->said, "%.*s", (int)got, part);
  for (char* end; peer->said.length > 0 && (end = strstr(peer->said.bytes, "\r\n")) != NULL;) {
    const size_t length = (size_t)(end - peer->said.bytes);
    check_line(peer, peer->said.bytes, length);
    text_consume(&peer->said, length + 2);
    peer->said.bytes[peer->said.length] = '\0';
  }
  /* One more: for a command that is too long, and has no end. */
  PROPERTY(peer->replies <= peer->lines + 1);
  if (got == 0) hang_up(peer);
}

static void say(struct peer* peer, const uint8_t* bytes, size_t size) {
  /* What the socket does not take is lost: the server must do with what comes. */
  const ssize_t sent = send(peer->socket, bytes, size, MSG_NOSIGNAL);
  for (ssize_t i = 0; i < sent; i++)
    if (bytes[i] == '\n') peer->lines++;
}

static void take_step(void) {
  const uint8_t step = *script++;
  script_size--;
  struct peer* peer = &peers[step >> 7];
  size_t size = step & 0x7f;
  if (peer->socket < 0) return;
  if (size == 0) return hang_up(peer);
  if (size == 0x7f && script_size > 0) {
    uint8_t many[MANY];
    memset(many, *script, sizeof(many));
    script++;
    script_size--;
    return say(peer, many, sizeof(many));
  }
  if (size > script_size) size = script_size;
  say(peer, script, size);
  script += size;
  script_size -= size;
}

static int step_and_poll(struct pollfd* polled, nfds_t count, int timeout) {
  (void)timeout;
  for (int i = 0; i < QMP_MAX_SOCKETS; i++)
    if (peers[i].socket >= 0) hear(&peers[i]);
  if (script_size == 0 || ++idle_turns % 2 == 0) {
    if (script_size > 0)
      take_step();
    else if (++idle_turns > IDLE_TURNS)
      machine.is_quitting = true;
  }
  const int ready = poll(polled, count, 0);
  /* Somebody always wants to connect. */
  for (nfds_t i = 2; i < count; i++)
    if (polled[i].fd == ports[i - 2].listener) polled[i].revents = POLLIN;
  return ready;
}

static void make_machine(uint8_t kind) {
  ram = (struct ram){.block_count = 2, .page_count = 24};
  strcpy(ram.blocks[0].id, "ram0");
  strcpy(ram.blocks[0].path, "/dev/shm/ram0");
  strcpy(ram.blocks[1].id, "ram1");
  ram.blocks[0].size = 16 * PAGE_BYTES;
  ram.blocks[1].size = 8 * PAGE_BYTES;
  workload = (struct workload){.ram = &ram, .options = {.threads = 2}};
  machine = (struct machine){
      .name = "guest", .ram = &ram, .workload = &workload, .run_state = kind % (RUN_POSTMIGRATE + 1)};
  if (pipe2(machine.migration.messages, O_CLOEXEC | O_NONBLOCK) != 0) abort();
  is_park_asked = false;
  job = JOB_NONE;
  idle_turns = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  make_machine(data[0]);
  script = data + 1;
  script_size = size - 1;
  port_count = QMP_MAX_SOCKETS;
  for (int i = 0; i < port_count; i++) {
    /* Numbers that are no descriptors: poll(2) passes over negative ones. */
    ports[i] = (struct port){.path = "", .client = -1, .listener = -2 - i};
    peers[i] = (struct peer){.socket = -1};
  }
  qmp_serve(&machine);
  for (int i = 0; i < port_count; i++) {
    if (ports[i].client >= 0) drop_client(&ports[i]);
    hang_up(&peers[i]);
  }
  close(machine.migration.messages[0]);
  close(machine.migration.messages[1]);
  return 0;
}
