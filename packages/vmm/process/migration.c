#define _GNU_SOURCE
#include "migration.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "state.h"

// Pages that are read while device state is loaded, as devices of a real VMM do: QEMU's first is at 0xc0000.
static const uint64_t PAGES_TOUCHED_BY_LOAD[] = {0xc0, 0};

int migration_init(struct migration* migration, struct workload* workload) {
  migration->workload = workload;
  migration->socket = -1;
  migration->listener = -1;
  pthread_mutex_init(&migration->mutex, NULL);
  return pipe2(migration->messages, O_CLOEXEC);
}

static void report(struct migration* migration, enum migration_status status, const char* error) {
  struct migration_message message = {.status = status};
  snprintf(message.error, sizeof message.error, "%s", error);
  // The pipe holds hundreds of messages, and one migration sends three.
  if (write(migration->messages[1], &message, sizeof message) != sizeof message) abort();
}

static bool is_cancelled(struct migration* migration) {
  pthread_mutex_lock(&migration->mutex);
  bool result = migration->is_cancelled;
  pthread_mutex_unlock(&migration->mutex);
  return result;
}

static void set_socket(struct migration* migration, int fd) {
  pthread_mutex_lock(&migration->mutex);
  migration->socket = fd;
  if (migration->is_cancelled && fd >= 0) shutdown(fd, SHUT_RDWR);
  pthread_mutex_unlock(&migration->mutex);
}

// Takes the socket away from migration_cancel before it is closed.
static void close_socket(struct migration* migration, int fd) {
  set_socket(migration, -1);
  close(fd);
}

static struct sockaddr_un to_address(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  return address;
}

static int save(struct migration* migration, char* error) {
  struct sockaddr_un address = to_address(migration->path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    snprintf(error, MIGRATION_MAX_ERROR, "Failed to connect to '%s': %s", migration->path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
  }
  set_socket(migration, fd);
  report(migration, MIGRATION_ACTIVE, "");
  int result = state_save(migration->workload, fd, error, MIGRATION_MAX_ERROR);
  close_socket(migration, fd);
  return result;
}

static void* run_save(void* argument) {
  struct migration* migration = argument;
  char error[MIGRATION_MAX_ERROR] = "";
  int result = save(migration, error);
  if (is_cancelled(migration))
    report(migration, MIGRATION_CANCELLED, "");
  else
    report(migration, result == 0 ? MIGRATION_COMPLETED : MIGRATION_FAILED, error);
  return NULL;
}

static int load(struct migration* migration, char* error) {
  int fd = accept4(migration->listener, NULL, NULL, SOCK_CLOEXEC);
  close(migration->listener);
  unlink(migration->path);
  if (fd < 0) {
    snprintf(error, MIGRATION_MAX_ERROR, "Failed to accept: %s", strerror(errno));
    return -1;
  }
  report(migration, MIGRATION_ACTIVE, "");
  struct workload* workload = migration->workload;
  int result = state_load(workload, fd, error, MIGRATION_MAX_ERROR);
  for (size_t i = 0; result == 0 && i < sizeof PAGES_TOUCHED_BY_LOAD / sizeof *PAGES_TOUCHED_BY_LOAD; i++)
    if (PAGES_TOUCHED_BY_LOAD[i] < workload->ram->page_count)
      workload_check_page(workload, PAGES_TOUCHED_BY_LOAD[i]);
  close(fd);
  return result;
}

static void* run_load(void* argument) {
  struct migration* migration = argument;
  char error[MIGRATION_MAX_ERROR] = "";
  int result = load(migration, error);
  report(migration, result == 0 ? MIGRATION_COMPLETED : MIGRATION_FAILED, error);
  return NULL;
}

static void start(struct migration* migration, void* (*run)(void*)) {
  pthread_t thread;
  report(migration, MIGRATION_SETUP, "");
  int error = pthread_create(&thread, NULL, run, migration);
  if (error == 0)
    pthread_detach(thread);
  else
    report(migration, MIGRATION_FAILED, strerror(error));
}

void migration_save(struct migration* migration, const char* path) {
  snprintf(migration->path, sizeof migration->path, "%s", path);
  migration->is_cancelled = false;
  start(migration, run_save);
}

int migration_load(struct migration* migration, const char* path, char error[MIGRATION_MAX_ERROR]) {
  snprintf(migration->path, sizeof migration->path, "%s", path);
  struct sockaddr_un address = to_address(path);
  unlink(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
    snprintf(error, MIGRATION_MAX_ERROR, "Failed to bind socket to %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
  }
  migration->listener = fd;
  start(migration, run_load);
  return 0;
}

void migration_cancel(struct migration* migration) {
  pthread_mutex_lock(&migration->mutex);
  migration->is_cancelled = true;
  if (migration->socket >= 0) shutdown(migration->socket, SHUT_RDWR);
  pthread_mutex_unlock(&migration->mutex);
}

const char* migration_status_name(enum migration_status status) {
  static const char* const names[] = {"none",   "setup",      "active",   "completed",
                                      "failed", "cancelling", "cancelled"};
  return names[status];
}
