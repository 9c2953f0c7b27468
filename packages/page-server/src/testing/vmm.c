// A VMM for tests: maps RAM files, registers them with userfaultfds and hands them over as it is told.
// Commands come on stdin, one a line; answers go to stdout, one a line. Touching is done in threads,
// because a touched page may never come.
//
// clang-format off
//   map ID PATH BYTES          mapped ID ADDRESS            a mapping with a userfaultfd of its own
//   join ID PATH BYTES WITH    mapped ID ADDRESS            the same, registered with WITH's userfaultfd
//   anon ID BYTES [WITH]       mapped ID ADDRESS            anonymous memory, with a userfaultfd of its own or WITH's
//   plain                      plain                        userfaultfds made from now on tell of remove only
//   events                     events                       userfaultfds made from now on tell of fork, unmap, remap
//   unmap ID PGOFF COUNT       unmapped ID PGOFF COUNT
//   move ID                    moved ID ADDRESS             mremap to another address
//   plug ID PGOFF COUNT        plugged ID PGOFF COUNT       maps the program itself in the place of pages
//   punch ID PGOFF COUNT       punched ID PGOFF COUNT       fallocate, which no event tells of
//   child ID PGOFF             child ID PGOFF VALUE         forks; the child reads the page and exits
//   drip SOCKET FDS JSON       sent REPLY                   like send, in many small pieces
//   send SOCKET FDS JSON       sent REPLY                   FDS: comma-separated uffd:ID, file:ID, pipe; or "none"
//   read ID PGOFF              read ID PGOFF VALUE          first byte of the page
//   write ID PGOFF VALUE       wrote ID PGOFF VALUE
//   remove ID PGOFF COUNT      removed ID PGOFF COUNT       MADV_REMOVE
//   sample ID COUNT SEED PAGES sample US US ...             COUNT reads of random pages, microseconds each
//   close ID                   closed ID                    closes this process's copy of the userfaultfd
//   exit
// clang-format on
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { kPage = 4096, kMaxMappings = 16, kMaxFds = 8, kLine = 1 << 20 };

struct mapping {
  char id[64];
  volatile uint8_t* memory;
  size_t bytes;
  int file;
  int uffd;
};
static struct mapping mappings[kMaxMappings];
static int mapping_count;
static uint64_t features = UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_MISSING_SHMEM |
                           UFFD_FEATURE_MISSING_HUGETLBFS;

static void fail(const char* what) {
  fprintf(stderr, "test VMM: %s: %s\n", what, strerror(errno));
  exit(1);
}

static struct mapping* find(const char* id) {
  for (int i = 0; i < mapping_count; i++)
    if (strcmp(mappings[i].id, id) == 0) return &mappings[i];
  fprintf(stderr, "test VMM: no mapping %s\n", id);
  exit(1);
}

static int make_uffd(void) {
  int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  struct uffdio_api api = {.api = UFFD_API, .features = features};
  if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) fail("userfaultfd");
  return uffd;
}

static void map(const char* id, const char* path, size_t bytes, const char* with) {
  struct mapping* m = &mappings[mapping_count];
  snprintf(m->id, sizeof m->id, "%s", id);
  m->bytes = bytes;
  m->file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (path && m->file < 0) fail(path);
  m->memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, m->file, 0);
  if (m->memory == MAP_FAILED) fail("mmap");
  m->uffd = with ? find(with)->uffd : make_uffd();
  struct uffdio_register range = {.range = {(uintptr_t)m->memory, bytes},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(m->uffd, UFFDIO_REGISTER, &range)) fail("register");
  mapping_count++;
  printf("mapped %s %lu\n", id, (unsigned long)m->memory);
}

static int open_descriptor(char* spec) {
  char* id = strchr(spec, ':');
  if (id) *id++ = 0;
  if (strcmp(spec, "uffd") == 0) return dup(find(id)->uffd);
  if (strcmp(spec, "file") == 0) return dup(find(id)->file);
  int ends[2];
  if (pipe(ends)) fail("pipe");
  close(ends[1]);
  return ends[0];
}

static void send_handoff(const char* path, char* specs, const char* json, size_t piece) {
  int fds[kMaxFds], count = 0;
  if (strcmp(specs, "none") != 0)
    for (char *save, *s = strtok_r(specs, ",", &save); s && count < kMaxFds; s = strtok_r(NULL, ",", &save))
      fds[count++] = open_descriptor(s);
  int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (connect(socket_fd, (struct sockaddr*)&address, sizeof address)) fail("connect");
  char control[CMSG_SPACE(sizeof fds)] = {0};
  size_t length_of_json = strlen(json), first = piece < length_of_json ? piece : length_of_json;
  struct iovec iov = {(void*)json, first};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  if (sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE) fail("sendmsg");
  for (size_t at = first; at < length_of_json; at += piece) {
    size_t rest = length_of_json - at;
    if (send(socket_fd, json + at, rest < piece ? rest : piece, MSG_NOSIGNAL) < 0) break;
  }
  for (int i = 0; i < count; i++) close(fds[i]);
  char reply[64];
  ssize_t length = read(socket_fd, reply, sizeof reply - 1);
  if (length < 0) length = 0;
  reply[length] = 0;
  reply[strcspn(reply, "\n")] = 0;
  close(socket_fd);
  printf("sent %s\n", length == 0 ? "CLOSED" : reply);
}

struct access {
  struct mapping* mapping;
  unsigned long pgoff;
  unsigned long argument;
};

static struct access* make_access(const char* id, unsigned long pgoff, unsigned long argument) {
  struct access* a = malloc(sizeof *a);
  *a = (struct access){find(id), pgoff, argument};
  return a;
}

static void* read_page(void* argument) {
  struct access* a = argument;
  unsigned value = a->mapping->memory[a->pgoff * kPage];
  printf("read %s %lu %u\n", a->mapping->id, a->pgoff, value);
  free(a);
  return NULL;
}

static void* write_page(void* argument) {
  struct access* a = argument;
  a->mapping->memory[a->pgoff * kPage] = (uint8_t)a->argument;
  printf("wrote %s %lu %lu\n", a->mapping->id, a->pgoff, a->argument);
  free(a);
  return NULL;
}

static void* remove_pages(void* argument) {
  struct access* a = argument;
  if (madvise((void*)(a->mapping->memory + a->pgoff * kPage), a->argument * kPage, MADV_REMOVE))
    fail("madvise");
  printf("removed %s %lu %lu\n", a->mapping->id, a->pgoff, a->argument);
  free(a);
  return NULL;
}

static void* unmap_pages(void* argument) {
  struct access* a = argument;
  if (munmap((void*)(a->mapping->memory + a->pgoff * kPage), a->argument * kPage)) fail("munmap");
  printf("unmapped %s %lu %lu\n", a->mapping->id, a->pgoff, a->argument);
  free(a);
  return NULL;
}

static void* plug_pages(void* argument) {
  struct access* a = argument;
  int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  void* place = (void*)(a->mapping->memory + a->pgoff * kPage);
  if (program < 0 ||
      mmap(place, a->argument * kPage, PROT_READ, MAP_PRIVATE | MAP_FIXED, program, 0) == MAP_FAILED)
    fail("map the program");
  close(program);
  printf("plugged %s %lu %lu\n", a->mapping->id, a->pgoff, a->argument);
  free(a);
  return NULL;
}

static void* punch_pages(void* argument) {
  struct access* a = argument;
  if (fallocate(a->mapping->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)a->pgoff * kPage,
                (off_t)a->argument * kPage))
    fail("fallocate");
  printf("punched %s %lu %lu\n", a->mapping->id, a->pgoff, a->argument);
  free(a);
  return NULL;
}

static void* move_mapping(void* argument) {
  struct access* a = argument;
  struct mapping* m = a->mapping;
  void* place = mmap(NULL, m->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* moved = mremap((void*)m->memory, m->bytes, m->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
  if (moved == MAP_FAILED) fail("mremap");
  m->memory = moved;
  printf("moved %s %lu\n", m->id, (unsigned long)moved);
  free(a);
  return NULL;
}

static void* fork_child(void* argument) {
  struct access* a = argument;
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    char line[128];
    unsigned value = a->mapping->memory[a->pgoff * kPage];
    int length = snprintf(line, sizeof line, "child %s %lu %u\n", a->mapping->id, a->pgoff, value);
    if (write(STDOUT_FILENO, line, length) < 0) _exit(1);
    _exit(0);
  }
  free(a);
  return NULL;
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void sample(const char* id, int count, unsigned seed, unsigned long pages) {
  struct mapping* m = find(id);
  printf("sample");
  for (int i = 0; i < count; i++) {
    unsigned long pgoff = ((unsigned long)rand_r(&seed) * 32768 + rand_r(&seed)) % pages;
    double start = now_us();
    (void)m->memory[pgoff * kPage];
    printf(" %.0f", now_us() - start);
  }
  printf("\n");
}

static void spawn(void* (*work)(void*), struct access* argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, argument)) fail("pthread_create");
  pthread_detach(thread);
}

int main(void) {
  static char line[kLine];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *save, *command = strtok_r(line, " ", &save);
    if (!command || strcmp(command, "exit") == 0) break;
    char* id = strtok_r(NULL, " ", &save);
    if (strcmp(command, "events") == 0) {
      features |= UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP;
      printf("events\n");
      continue;
    }
    if (strcmp(command, "plain") == 0) {
      features = UFFD_FEATURE_EVENT_REMOVE;
      printf("plain\n");
      continue;
    }
    if (strcmp(command, "move") == 0) {
      spawn(move_mapping, make_access(id, 0, 0));
      continue;
    }
    if (strcmp(command, "close") == 0) {
      close(find(id)->uffd);
      printf("closed %s\n", id);
      continue;
    }
    char* second = strtok_r(NULL, " ", &save);
    if (strcmp(command, "send") == 0 || strcmp(command, "drip") == 0) {
      send_handoff(id, second, save, strcmp(command, "send") == 0 ? kLine : 7);
      continue;
    }
    char* third = strtok_r(NULL, " ", &save);
    if (strcmp(command, "anon") == 0) map(id, NULL, strtoul(second, NULL, 10), third);
    if (strcmp(command, "map") == 0) map(id, second, strtoul(third, NULL, 10), NULL);
    if (strcmp(command, "join") == 0) map(id, second, strtoul(third, NULL, 10), strtok_r(NULL, " ", &save));
    unsigned long pgoff = strtoul(second, NULL, 10), number = third ? strtoul(third, NULL, 10) : 0;
    if (strcmp(command, "read") == 0) spawn(read_page, make_access(id, pgoff, 0));
    if (strcmp(command, "write") == 0) spawn(write_page, make_access(id, pgoff, number));
    if (strcmp(command, "remove") == 0) spawn(remove_pages, make_access(id, pgoff, number));
    if (strcmp(command, "unmap") == 0) spawn(unmap_pages, make_access(id, pgoff, number));
    if (strcmp(command, "plug") == 0) spawn(plug_pages, make_access(id, pgoff, number));
    if (strcmp(command, "punch") == 0) spawn(punch_pages, make_access(id, pgoff, number));
    if (strcmp(command, "child") == 0) spawn(fork_child, make_access(id, pgoff, 0));
    if (strcmp(command, "sample") == 0)
      sample(id, (int)pgoff, (unsigned)number, strtoul(strtok_r(NULL, " ", &save), NULL, 10));
  }
  return 0;
}
