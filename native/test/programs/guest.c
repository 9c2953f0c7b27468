/*
 * A stand-in for a VMM: maps RAM and touches it as the lines on its standard input say, and answers with
 * lines. What may wait for a page runs in a thread of its own, so that commands never wait.
 *
 *   create PATH SIZE        file FD          opens the RAM file that the next commands map
 *   memfd NAME SIZE         file FD
 *   map HOW SIZE OFFSET     mapped I ADDRESS HOW is shared, private, populate or locked
 *   slices COUNT SIZE       mapped I ADDRESS COUNT threads map COUNT slices at the same time
 *   uffd I FEATURES         uffd FD          without the preload library: registers mapping I
 *   read I PAGE             reading TID, then value BYTE
 *   remove I PAGE COUNT     removed          MADV_REMOVE
 *   unmap I                 unmapped
 *   child                   child STATUS     runs /bin/true
 *   fork                    forked           in a thread: the event of it must be read; the child exits
 *   move I                  moved ADDRESS    mremap to another place, in a thread
 *   deny                    denied           makes userfaultfd(2) fail with EPERM, as a seccomp profile does
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_MAPPINGS 64
#define PAGE 4096

static struct mapping {
  char* address;
  size_t size;
} mappings[MAX_MAPPINGS];
static int mapping_count;
static int file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void answer(const char* format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
  va_end(arguments);
  line[length] = '\n';
  if (write(STDOUT_FILENO, line, (size_t)length + 1) < 0) _exit(3);
}

static void fail(const char* what) {
  answer("error %s %d %s", what, errno, strerror(errno));
  _exit(2);
}

static void* map_slice(const char* how, size_t size, off_t offset) {
  int flags = MAP_SHARED;
  if (strcmp(how, "private") == 0) flags = MAP_PRIVATE;
  if (strcmp(how, "populate") == 0) flags |= MAP_POPULATE;
  if (strcmp(how, "locked") == 0 && mlockall(MCL_FUTURE) != 0) fail("mlockall");
  char* address = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, file, offset);
  if (address == MAP_FAILED) fail("mmap");
  pthread_mutex_lock(&lock);
  int index = mapping_count++;
  mappings[index] = (struct mapping){address, size};
  pthread_mutex_unlock(&lock);
  answer("mapped %d %ju", index, (uintmax_t)(uintptr_t)address);
  return address;
}

struct job {
  int index;
  size_t page;
  size_t count;
};

static void* read_page(void* argument) {
  struct job job = *(struct job*)argument;
  free(argument);
  answer("reading %ld", syscall(SYS_gettid));
  unsigned char byte = *(volatile unsigned char*)(mappings[job.index].address + job.page * PAGE);
  answer("value %u", byte);
  return NULL;
}

static void* remove_pages(void* argument) {
  struct job job = *(struct job*)argument;
  free(argument);
  if (madvise(mappings[job.index].address + job.page * PAGE, job.count * PAGE, MADV_REMOVE) != 0)
    fail("madvise");
  answer("removed");
  return NULL;
}

static void* map_one_of_many(void* argument) {
  struct job job = *(struct job*)argument;
  free(argument);
  map_slice("shared", job.count, (off_t)(job.page * job.count));
  return NULL;
}

static void start(void* (*run)(void*), struct job job) {
  pthread_t thread;
  struct job* copy = malloc(sizeof(job));
  *copy = job;
  errno = pthread_create(&thread, NULL, run, copy);
  if (errno != 0) fail("pthread_create");
  pthread_detach(thread);
}

static void register_mapping(int index, uint64_t features) {
  int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (uffd < 0) fail("userfaultfd");
  struct uffdio_api api = {.api = UFFD_API, .features = features};
  if (ioctl(uffd, UFFDIO_API, &api) != 0) fail("UFFDIO_API");
  struct uffdio_register range = {
      .range = {.start = (uintptr_t)mappings[index].address, .len = mappings[index].size},
      .mode = UFFDIO_REGISTER_MODE_MISSING,
  };
  if (ioctl(uffd, UFFDIO_REGISTER, &range) != 0) fail("UFFDIO_REGISTER");
  answer("uffd %d", uffd);
}

static void run_child(void) {
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/true", "true", (char*)NULL);
    _exit(127);
  }
  int status = -1;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) fail("waitpid");
  answer("child %d", status);
}

static void* fork_and_exit(void* argument) {
  free(argument);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  answer("forked");
  return NULL;
}

static void* move_mapping(void* argument) {
  struct job job = *(struct job*)argument;
  free(argument);
  struct mapping* mapping = &mappings[job.index];
  void* place = mmap(NULL, mapping->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* moved = mremap(mapping->address, mapping->size, mapping->size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
  if (moved == MAP_FAILED) fail("mremap");
  mapping->address = moved;
  answer("moved %ju", (uintmax_t)(uintptr_t)moved);
  return NULL;
}

static void deny_userfaultfd(void) {
  struct sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof(instructions) / sizeof(instructions[0]), .filter = instructions};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("prctl");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) fail("seccomp");
  answer("denied");
}

int main(void) {
  char line[512];
  char text[256];
  char how[16];
  size_t size;
  off_t offset;
  struct job job = {0, 0, 0};
  uint64_t features;
  while (fgets(line, sizeof(line), stdin) != NULL) {
    if (sscanf(line, "create %255s %zu", text, &size) == 2) {
      file = open(text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      if (file < 0 || ftruncate(file, (off_t)size) != 0) fail("create");
      answer("file %d", file);
    } else if (sscanf(line, "memfd %255s %zu", text, &size) == 2) {
      file = memfd_create(text, MFD_CLOEXEC);
      if (file < 0 || ftruncate(file, (off_t)size) != 0) fail("memfd");
      answer("file %d", file);
    } else if (sscanf(line, "map %15s %zu %jd", how, &size, &offset) == 3) {
      map_slice(how, size, offset);
    } else if (sscanf(line, "slices %zu %zu", &job.count, &size) == 2) {
      for (size_t i = 0, count = job.count; i < count; i++) start(map_one_of_many, (struct job){0, i, size});
    } else if (sscanf(line, "uffd %d %ju", &job.index, &features) == 2) {
      register_mapping(job.index, features);
    } else if (sscanf(line, "read %d %zu", &job.index, &job.page) == 2) {
      start(read_page, job);
    } else if (sscanf(line, "remove %d %zu %zu", &job.index, &job.page, &job.count) == 3) {
      start(remove_pages, job);
    } else if (sscanf(line, "unmap %d", &job.index) == 1) {
      if (munmap(mappings[job.index].address, mappings[job.index].size) != 0) fail("munmap");
      answer("unmapped");
    } else if (strcmp(line, "fork\n") == 0) {
      start(fork_and_exit, job);
    } else if (sscanf(line, "move %d", &job.index) == 1) {
      start(move_mapping, job);
    } else if (strcmp(line, "child\n") == 0) {
      run_child();
    } else if (strcmp(line, "deny\n") == 0) {
      deny_userfaultfd();
    } else {
      answer("error unknown command");
    }
  }
  return 0;
}
