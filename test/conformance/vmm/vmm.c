// A VMM for the conformance suite: maps guest RAM, hands it over and touches it as the lines on its
// standard input say, and answers with lines. What may wait for a page runs in a thread of its own.
//
// clang-format off
//   map ID PATH BYTES                 mapped ID ADDRESS       a shared mapping of a RAM file
//   anon ID BYTES                     mapped ID ADDRESS       anonymous memory
//   register NAME FEATURES ID[,ID]    registered NAME         one userfaultfd for these mappings
//   send SOCKET FDS PIECE JSON        sent ANSWER             hands over; PIECE: bytes at a time, 0 for all
//                                                             FDS: uffd:NAME, file:ID, pipe, joined by commas; none
//                                                             ANSWER: the line that came back, or CLOSED
//   read ID PGOFF                     read ID PGOFF CRC32     in a thread
//   child ID PGOFF                    child ID PGOFF CRC32    read by a child that is forked, in a thread
//   write ID PGOFF BYTE               wrote ID PGOFF          fills the page, in a thread
//   remove ID PGOFF COUNT             removed ID PGOFF        MADV_REMOVE, in a thread
//   unmap ID PGOFF COUNT              unmapped ID PGOFF       munmap, in a thread
//   punch ID PGOFF COUNT              punched ID PGOFF        a hole in the file, which no event tells of
//   move ID                           moved ID ADDRESS        mremap to another address, in a thread
//   dump ID PATH                      dumped ID               writes what the guest sees, in a thread
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
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MAX_MAPPINGS = 64, MAX_FDS = 8, LINE_BYTES = 1 << 20, NAME_BYTES = 64 };

struct mapping {
  char id[NAME_BYTES];
  uint8_t* address;
  size_t bytes;
  int file;
};

struct registration {
  char name[NAME_BYTES];
  int uffd;
};

static struct mapping mappings[MAX_MAPPINGS];
static struct registration registrations[MAX_MAPPINGS];
static int mapping_count;
static int registration_count;

static void fail(const char* what) {
  fprintf(stderr, "conformance VMM: %s: %s\n", what, strerror(errno));
  exit(2);
}

static struct mapping* find(const char* id) {
  for (int i = 0; i < mapping_count; i++)
    if (strcmp(mappings[i].id, id) == 0) return &mappings[i];
  errno = ENOENT;
  fail(id);
  return NULL;
}

static uint32_t crc32_of(const uint8_t* bytes, size_t length) {
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < length; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

static void add_mapping(const char* id, void* address, size_t bytes, int file) {
  if (address == MAP_FAILED) fail("mmap");
  if (mapping_count == MAX_MAPPINGS) fail("too many mappings");
  struct mapping* mapping = &mappings[mapping_count++];
  *mapping = (struct mapping){.address = address, .bytes = bytes, .file = file};
  snprintf(mapping->id, sizeof mapping->id, "%s", id);
  printf("mapped %s %ju\n", id, (uintmax_t)(uintptr_t)address);
}

static void map_file(const char* id, const char* path, size_t bytes) {
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) fail(path);
  add_mapping(id, mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), bytes, file);
}

static void map_anonymous(const char* id, size_t bytes) {
  void* address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  add_mapping(id, address, bytes, -1);
}

static void register_mappings(const char* name, uint64_t features, char* ids) {
  int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  struct uffdio_api api = {.api = UFFD_API, .features = features};
  if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0) fail("userfaultfd");
  char* save;
  for (char* id = strtok_r(ids, ",", &save); id; id = strtok_r(NULL, ",", &save)) {
    struct mapping* mapping = find(id);
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)mapping->address, .len = mapping->bytes},
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };
    if (ioctl(uffd, UFFDIO_REGISTER, &range) != 0) fail("UFFDIO_REGISTER");
  }
  struct registration* registration = &registrations[registration_count++];
  registration->uffd = uffd;
  snprintf(registration->name, sizeof registration->name, "%s", name);
  printf("registered %s\n", name);
}

static int open_descriptor(char* what) {
  char* name = strchr(what, ':');
  if (!name) {
    int ends[2];
    if (pipe(ends) != 0) fail("pipe");
    close(ends[1]);
    return ends[0];
  }
  *name++ = '\0';
  if (strcmp(what, "file") == 0) return dup(find(name)->file);
  for (int i = 0; i < registration_count; i++)
    if (strcmp(registrations[i].name, name) == 0) return dup(registrations[i].uffd);
  errno = ENOENT;
  fail(name);
  return -1;
}

/* False when the peer has closed. */
static int send_piece(int connection, const char* bytes, size_t length, const int* fds, int count) {
  union {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS)];
  } control;
  memset(&control, 0, sizeof control);
  struct iovec vector = {.iov_base = (void*)bytes, .iov_len = length};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (count > 0) {
    size_t size = sizeof(int) * (size_t)count;
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), fds, size);
  }
  for (size_t sent = 0; sent < length;) {
    ssize_t written = sendmsg(connection, &message, MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return 0;
    sent += (size_t)written;
    vector.iov_base = (char*)bytes + sent;
    vector.iov_len = length - sent;
    message.msg_control = NULL;
    message.msg_controllen = 0;
  }
  return 1;
}

static void hand_over(const char* path, char* descriptors, size_t piece, const char* json) {
  int fds[MAX_FDS];
  int count = 0;
  char* save;
  if (strcmp(descriptors, "none") != 0)
    for (char* what = strtok_r(descriptors, ",", &save); what && count < MAX_FDS;
         what = strtok_r(NULL, ",", &save))
      fds[count++] = open_descriptor(what);
  int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (connect(connection, (struct sockaddr*)&address, sizeof address) != 0) fail("connect");
  size_t length = strlen(json);
  if (piece == 0) piece = length;
  for (size_t at = 0; at < length; at += piece) {
    size_t part = length - at < piece ? length - at : piece;
    if (!send_piece(connection, json + at, part, fds, at == 0 ? count : 0)) break;
    if (piece < length) usleep(1000); /* so that the pieces arrive one by one */
  }
  for (int i = 0; i < count; i++) close(fds[i]);
  char answer[64];
  ssize_t got = read(connection, answer, sizeof answer - 1);
  answer[got < 0 ? 0 : got] = '\0';
  answer[strcspn(answer, "\n")] = '\0';
  close(connection);
  printf("sent %s\n", *answer ? answer : "CLOSED");
}

struct job {
  struct mapping* mapping;
  size_t pgoff;
  size_t argument;
  char path[256];
};

static void* read_page(void* argument) {
  struct job* job = argument;
  uint8_t copy[PAGE];
  memcpy(copy, job->mapping->address + job->pgoff * PAGE, PAGE);
  printf("read %s %zu %u\n", job->mapping->id, job->pgoff, crc32_of(copy, PAGE));
  free(job);
  return NULL;
}

/* The child shares the RAM, and the lines go to the same standard output. */
static void* read_in_child(void* argument) {
  struct job* job = argument;
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    char line[128];
    uint32_t crc = crc32_of(job->mapping->address + job->pgoff * PAGE, PAGE);
    int length = snprintf(line, sizeof line, "child %s %zu %u\n", job->mapping->id, job->pgoff, crc);
    _exit(write(STDOUT_FILENO, line, (size_t)length) == length ? 0 : 1);
  }
  if (waitpid(child, NULL, 0) != child) fail("waitpid");
  free(job);
  return NULL;
}

static void* write_page(void* argument) {
  struct job* job = argument;
  memset(job->mapping->address + job->pgoff * PAGE, (int)job->argument, PAGE);
  printf("wrote %s %zu\n", job->mapping->id, job->pgoff);
  free(job);
  return NULL;
}

static void* remove_pages(void* argument) {
  struct job* job = argument;
  if (madvise(job->mapping->address + job->pgoff * PAGE, job->argument * PAGE, MADV_REMOVE) != 0)
    fail("madvise");
  printf("removed %s %zu\n", job->mapping->id, job->pgoff);
  free(job);
  return NULL;
}

static void* unmap_pages(void* argument) {
  struct job* job = argument;
  if (munmap(job->mapping->address + job->pgoff * PAGE, job->argument * PAGE) != 0) fail("munmap");
  printf("unmapped %s %zu\n", job->mapping->id, job->pgoff);
  free(job);
  return NULL;
}

static void* punch_pages(void* argument) {
  struct job* job = argument;
  off_t at = (off_t)(job->pgoff * PAGE);
  off_t length = (off_t)(job->argument * PAGE);
  if (fallocate(job->mapping->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length) != 0)
    fail("fallocate");
  printf("punched %s %zu\n", job->mapping->id, job->pgoff);
  free(job);
  return NULL;
}

static void* move_mapping(void* argument) {
  struct job* job = argument;
  struct mapping* mapping = job->mapping;
  void* place = mmap(NULL, mapping->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) fail("mmap");
  void* moved =
      mremap(mapping->address, mapping->bytes, mapping->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
  if (moved == MAP_FAILED) fail("mremap");
  mapping->address = moved;
  printf("moved %s %ju\n", mapping->id, (uintmax_t)(uintptr_t)moved);
  free(job);
  return NULL;
}

static void* dump(void* argument) {
  struct job* job = argument;
  FILE* file = fopen(job->path, "w");
  uint8_t copy[PAGE];
  if (!file) fail(job->path);
  for (size_t at = 0; at < job->mapping->bytes; at += PAGE) {
    memcpy(copy, job->mapping->address + at, PAGE);
    if (fwrite(copy, PAGE, 1, file) != 1) fail("fwrite");
  }
  if (fclose(file) != 0) fail("fclose");
  printf("dumped %s\n", job->mapping->id);
  free(job);
  return NULL;
}

static void start(void* (*run)(void*), const char* id, size_t pgoff, size_t argument, const char* path) {
  struct job* job = calloc(1, sizeof *job);
  pthread_attr_t attributes;
  pthread_t thread;
  job->mapping = find(id);
  job->pgoff = pgoff;
  job->argument = argument;
  snprintf(job->path, sizeof job->path, "%s", path);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  errno = pthread_create(&thread, &attributes, run, job);
  if (errno != 0) fail("pthread_create");
}

static const struct {
  const char* command;
  void* (*run)(void*);
} threads[] = {
    {"read", read_page},    {"child", read_in_child}, {"write", write_page},  {"remove", remove_pages},
    {"unmap", unmap_pages}, {"punch", punch_pages},   {"move", move_mapping},
};

/* The next number of a line, 0 when there is none. */
static size_t number(char** rest) {
  const char* word = strsep(rest, " ");
  return word ? strtoul(word, NULL, 10) : 0;
}

static void obey(const char* command, char* rest) {
  char* first = strsep(&rest, " ");
  if (!first) return;
  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
    if (strcmp(command, threads[i].command) == 0) {
      size_t pgoff = number(&rest);
      return start(threads[i].run, first, pgoff, number(&rest), "");
    }
  if (strcmp(command, "anon") == 0) return map_anonymous(first, number(&rest));
  char* second = strsep(&rest, " ");
  if (!second) return;
  if (strcmp(command, "dump") == 0) return start(dump, first, 0, 0, second);
  if (strcmp(command, "map") == 0) return map_file(first, second, number(&rest));
  if (strcmp(command, "register") == 0 && rest)
    return register_mappings(first, strtoull(second, NULL, 10), rest);
  size_t piece = number(&rest);
  if (strcmp(command, "send") == 0 && rest) hand_over(first, second, piece, rest);
}

int main(void) {
  static char line[LINE_BYTES];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    char* rest = line;
    line[strcspn(line, "\n")] = '\0';
    const char* command = strsep(&rest, " ");
    obey(command, rest);
  }
  return 0;
}
