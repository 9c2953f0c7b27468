#pragma once

#include "worker.h"

/*
 * Starts a thread that writes and verifies blocks of /dev/vda past the page cache, so that
 * requests are in flight in the virtqueues while the guest moves. Fails when there is no such disk.
 */
void start_disk_worker(struct counters* counters);
