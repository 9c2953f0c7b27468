// Device state out to, or in from, a Unix socket, on a thread of its own. The QMP thread learns how
// it goes from messages in a pipe, so that everything a client sees changes on one thread.
#ifndef UMEM_PROCESS_MIGRATION_H
#define UMEM_PROCESS_MIGRATION_H

#include <pthread.h>
#include <stdbool.h>

#include "workload.h"

// In QEMU's words.
enum migration_status {
  MIGRATION_NONE,
  MIGRATION_SETUP,
  MIGRATION_ACTIVE,
  MIGRATION_COMPLETED,
  MIGRATION_FAILED,
  MIGRATION_CANCELLING,
  MIGRATION_CANCELLED,
};

enum { MIGRATION_MAX_ERROR = 240 };

// Short enough to be written to a pipe at once. pipe(7): PIPE_BUF.
struct migration_message {
  enum migration_status status;
  char error[MIGRATION_MAX_ERROR];
};

struct migration {
  struct workload* workload;
  int messages[2];  // pipe: the QMP thread reads [0]
  char path[108];
  int listener;  // loading only

  pthread_mutex_t mutex;  // guards what follows
  int socket;             // -1 when there is none
  bool is_cancelled;
};

// Returns 0, or -1 with errno.
int migration_init(struct migration* migration, struct workload* workload);

// Saves to a listening socket. The workload is parked. One migration at a time.
void migration_save(struct migration* migration, const char* path);

// Listens, and loads from the first connection. Returns 0, or -1 with the reason in `error`.
int migration_load(struct migration* migration, const char* path, char error[MIGRATION_MAX_ERROR]);

// Makes a running save end soon.
void migration_cancel(struct migration* migration);

const char* migration_status_name(enum migration_status status);

#endif
