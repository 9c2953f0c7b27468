#define _GNU_SOURCE
#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "handoff.h"

#if !defined(__LP64__)
#error "The handoff library needs a 64-bit system: one system call for mmap and mmap64"
#endif

static struct umem_config config;
static pthread_once_t config_once = PTHREAD_ONCE_INIT;
/* Set by whichever thread maps RAM first on a host that cannot: then no mapping is handed over. */
static bool host_cannot;
/* Some RAM is with the page server: from then on all of it must be. */
static bool has_handed_over;
/* True in a thread that is inside the hook, so that mappings made by libc on its behalf go straight through.
 * Initial-exec, because the first use of other thread-local memory may call malloc. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

static void read_environment(void) {
  const char* problem = umem_read_config(&config, getenv("UMEM_RAM"), getenv("UMEM_HANDOFF"));
  if (problem != NULL) umem_exit("%s", problem);
  if (config.block_count > 0 && *config.handoff == '\0') {
    umem_log("UMEM_RAM is set but UMEM_HANDOFF is not: RAM is not handed over and stays plain memory");
    config.block_count = 0;
  }
}

/* At load time, so that a wrong environment is told at once; other libraries may have mapped something
 * before. */
__attribute__((constructor)) static void on_load(void) { pthread_once(&config_once, read_environment); }

/* The system call itself: no dlsym, which may call malloc, which may call mmap. mmap(2). */
static void* map(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  return (void*)syscall(SYS_mmap, address, size, protection, flags, file, offset);
}

static bool is_shared(int flags) {
  const int type = flags & MAP_TYPE;
  return type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
}

static size_t page_size_of(int file) {
  struct statfs status;
  if (fstatfs(file, &status) == 0 && status.f_type == HUGETLBFS_MAGIC) return (size_t)status.f_bsize;
  return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

/* A VMM on a host that cannot hand RAM over works as without this library. No migration to it begins: the
 * page server waits for the handoff before the source guest is stopped. */
static void* map_plain(const struct umem_obstacle* obstacle, void* address, size_t size, int protection,
                       int flags, int file, off_t offset) {
  if (__atomic_load_n(&has_handed_over, __ATOMIC_SEQ_CST)) umem_exit("%s: %s", obstacle->what, obstacle->fix);
  if (!__atomic_exchange_n(&host_cannot, true, __ATOMIC_SEQ_CST)) {
    umem_log("%s: RAM is not handed over and stays plain memory; %s", obstacle->what, obstacle->fix);
  }
  return map(address, size, protection, flags, file, offset);
}

static void* map_ram(const struct umem_block* block, void* address, size_t size, int protection, int flags,
                     int file, off_t offset) {
  struct umem_obstacle obstacle;
  const int uffd = umem_open_uffd(&obstacle);
  if (uffd < 0) return map_plain(&obstacle, address, size, protection, flags, file, offset);
  /* Populating or locking it now would fill it with zeros. */
  const int eager = MAP_POPULATE | MAP_LOCKED;
  if ((flags & eager) != 0) umem_log("RAM block %s: mapped without MAP_POPULATE and MAP_LOCKED", block->id);
  void* mapped = map(address, size, protection, flags & ~eager, file, offset);
  if (mapped == MAP_FAILED) {
    const int map_errno = errno;
    close(uffd);
    errno = map_errno;
    return mapped;
  }
  struct umem_mapping mapping = {
      .block = block,
      .address = (uintptr_t)mapped,
      .page_size = page_size_of(file),
      .offset = offset,
      .file = file,
      .uffd = uffd,
  };
  mapping.size = round_up(size, mapping.page_size);
  umem_register(&mapping);
  char problem[UMEM_MAX_PROBLEM];
  if (!umem_hand_over(&mapping, config.handoff, problem)) {
    if (!umem_becomes_complete(file)) umem_abort("RAM block %s: %s", block->id, problem);
    umem_unregister(&mapping);
    return mapped;
  }
  __atomic_store_n(&has_handed_over, true, __ATOMIC_SEQ_CST);
  /* mapping.uffd stays open for the life of this process: if every daemon dies, faults wait. Were the last
   * copy closed, the kernel would unregister the range and the guest would read zeros. */
  return mapped;
}

/* Any thread, any time, also before main and inside malloc. */
__attribute__((visibility("default"))) void* mmap(void* address, size_t size, int protection, int flags,
                                                  int file, off_t offset) {
  if (file < 0 || !is_shared(flags) || inside) return map(address, size, protection, flags, file, offset);
  inside = true;
  pthread_once(&config_once, read_environment);
  const bool is_asked = config.block_count > 0 && !__atomic_load_n(&host_cannot, __ATOMIC_SEQ_CST);
  const struct umem_block* block = is_asked ? umem_match(&config, file) : NULL;
  void* mapped = block == NULL || umem_is_complete(file)
                     ? map(address, size, protection, flags, file, offset)
                     : map_ram(block, address, size, protection, flags, file, offset);
  inside = false;
  return mapped;
}

__attribute__((visibility("default"), alias("mmap"))) void* mmap64(void* address, size_t size, int protection,
                                                                   int flags, int file, off_t offset);
