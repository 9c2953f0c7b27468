#pragma once

#include <stdint.h>

/* Everything the guest says goes to the serial console, one line each, and is flushed at once. */

/* One line for the host's log. */
__attribute__((format(printf, 1, 2))) void report(const char* format, ...);

/* Says why and ends the guest: the kernel panics when its first process exits. */
__attribute__((format(printf, 1, 2), noreturn)) void fail(const char* format, ...);

/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_us(void);
