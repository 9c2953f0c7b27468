// Device state: everything of the guest that is not RAM. Sequence and versions of the workload, so
// that the other side knows what every page must hold.
#ifndef UMEM_PROCESS_STATE_H
#define UMEM_PROCESS_STATE_H

#include <stddef.h>

#include "workload.h"

// Both return 0, or -1 with the reason in `error`. They block on the socket, but never on guest RAM.
int state_save(const struct workload* workload, int fd, char* error, size_t error_size);
int state_load(struct workload* workload, int fd, char* error, size_t error_size);

#endif
