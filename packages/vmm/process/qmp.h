// The QMP server: like QEMU's it serves one client per socket, in order, one command at a time.
#ifndef UMEM_PROCESS_QMP_H
#define UMEM_PROCESS_QMP_H

#include "machine.h"

enum { QMP_MAX_SOCKETS = 2 };

// Wakes the server from any thread: something that a client waits for may have happened.
void qmp_notify(void);

// Listens on each path; an existing socket file is replaced. Returns 0, or -1 after it has said why.
int qmp_listen(const char* const* paths, int path_count);

// Serves until the machine quits, or loading device state has failed. Returns the exit code.
int qmp_serve(struct machine* machine);

#endif
