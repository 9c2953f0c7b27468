#define _GNU_SOURCE
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handoff.h"

static bool is_file(const char* path, const struct stat* wanted) {
  struct stat found;
  return stat(path, &found) == 0 && found.st_dev == wanted->st_dev && found.st_ino == wanted->st_ino;
}

/* Paths are looked up at each mapping, not once: some managers let the VMM create the file. */
static bool is_at_path(const char* path, const struct stat* wanted) {
  if (is_file(path, wanted)) return true;
  if (strpbrk(path, "*?[") == NULL) return false;
  glob_t found;
  bool matches = false;
  if (glob(path, GLOB_NOSORT, NULL, &found) != 0) return false;
  for (size_t i = 0; i < found.gl_pathc && !matches; i++) matches = is_file(found.gl_pathv[i], wanted);
  globfree(&found);
  return matches;
}

/* The name of a memfd is all there is of it outside its process: memfd_create(2), proc(5). */
static bool is_memfd(const char* name, int file) {
  char link[64];
  char target[300];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, target, sizeof(target) - 1);
  if (length < 0) return false;
  target[length] = '\0';
  const char prefix[] = "/memfd:";
  if (strncmp(target, prefix, strlen(prefix)) != 0) return false;
  /* Every memfd has this: no directory names it. A name may have it too, before its end. */
  const char suffix[] = " (deleted)";
  const ssize_t end = length - (ssize_t)strlen(suffix);
  if (end >= 0 && strcmp(target + end, suffix) == 0) target[end] = '\0';
  return fnmatch(name, target + strlen(prefix), 0) == 0;
}

const struct umem_block* umem_match(const struct umem_config* config, int file) {
  const int saved_errno = errno;
  const struct umem_block* match = NULL;
  struct stat status;
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    for (size_t i = 0; i < config->block_count && match == NULL; i++) {
      const struct umem_block* block = &config->blocks[i];
      const bool matches = block->is_memfd ? is_memfd(block->path, file) : is_at_path(block->path, &status);
      if (matches) match = block;
    }
  }
  errno = saved_errno;
  return match;
}
