/*
 * The handoff library: loaded into a VMM with LD_PRELOAD, it hands the userfaultfd of each RAM mapping to the
 * page server before the VMM can use it. Needs nothing but libc. The files in the order a mapping passes
 * them: hook.c, config.c, match.c, complete.c, uffd.c, message.c, connection.c; report.c says what went
 * wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UMEM_MAX_BLOCKS 64
#define UMEM_MAX_TEXT 8192
/* How long the page server may take to accept a handoff and to answer it. Tests are less patient. */
#ifndef UMEM_TIMEOUT_MS
#define UMEM_TIMEOUT_MS 60000
#endif

/* How long the RAM file may take to be marked as complete once a handoff was refused. */
#define UMEM_COMPLETION_MS (UMEM_TIMEOUT_MS < 2000 ? UMEM_TIMEOUT_MS : 2000)
#define UMEM_MAX_PROBLEM 512

/* One entry of UMEM_RAM: a RAM block and where the VMM will find it. */
struct umem_block {
  const char* id;
  const char* path; /* a path or glob; the name of a memfd when is_memfd */
  bool is_memfd;
};

/* What the environment asks for. Read-only once it has been read. */
struct umem_config {
  struct umem_block blocks[UMEM_MAX_BLOCKS];
  size_t block_count;
  const char* handoff; /* path of the page server's socket; empty when UMEM_HANDOFF is not set */
  char ram_text[UMEM_MAX_TEXT];
  char handoff_text[256];
};

/* One mapping of a RAM block in this process. Sizes and offsets in bytes. */
struct umem_mapping {
  const struct umem_block* block;
  uintptr_t address;
  size_t size;
  off_t offset;
  size_t page_size;
  int file; /* descriptor of the RAM file */
  int uffd;
};

/* config.c: reads UMEM_RAM and UMEM_HANDOFF. NULL, or what is wrong with them. */
const char* umem_read_config(struct umem_config* config, const char* ram, const char* handoff);

/* match.c: the block whose RAM file `file` is, or NULL. errno is left alone. */
const struct umem_block* umem_match(const struct umem_config* config, int file);

/* complete.c: whether every page of a RAM file is there, so that mapping it needs no handoff. */
bool umem_is_complete(int file);

/* complete.c: the same, waiting up to UMEM_COMPLETION_MS for it. */
bool umem_becomes_complete(int file);

/* Why this host cannot hand RAM over, and what would help. */
struct umem_obstacle {
  char what[256];
  const char* fix;
};

/* uffd.c: a userfaultfd with the features that the page server needs; -1 with the obstacle on a host that
 * cannot. */
int umem_open_uffd(struct umem_obstacle* obstacle);

/* uffd.c: registers the mapping with its userfaultfd. Ends the process when that cannot be. */
void umem_register(struct umem_mapping* mapping);

/* uffd.c: makes a mapping plain memory again and closes its userfaultfd. Ends the process when it cannot. */
void umem_unregister(struct umem_mapping* mapping);

/* message.c: the JSON array that describes the mapping; its length. */
size_t umem_describe(const struct umem_mapping* mapping, char* text, size_t capacity);

/* connection.c: gives the mapping to the page server and waits for its READY. False when it was not taken;
 * `problem` then says why. */
bool umem_hand_over(const struct umem_mapping* mapping, const char* socket_path,
                    char problem[UMEM_MAX_PROBLEM]);

/* report.c: one line on stderr. */
void umem_log(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* One line, then abort(): the guest would run on zeros. */
void umem_abort(const char* format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* One line, then exit status 1: nothing has been mapped yet. */
void umem_exit(const char* format, ...) __attribute__((format(printf, 1, 2), noreturn));
