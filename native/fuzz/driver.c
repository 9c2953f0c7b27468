/*
 * A small coverage-guided fuzzer for compilers without libFuzzer. The same seed makes the same inputs in the
 * same order. The target is compiled with -fsanitize-coverage=trace-pc, this file is not.
 *
 *   TARGET --seconds N --seed N --keep FILE CORPUS...     the corpus, then new inputs for a time
 *   TARGET FILE...                                        these inputs once
 *
 * Prints "executions N corpus N"; an input that fails is left in FILE.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mutation.h"
#include "target.h"

enum {
  MAX_CORPUS = 4096,
  MAP_WORDS = 1 << 9,
  MAP_BITS = MAP_WORDS * 64,
  HANG_SECONDS = 5,
  EXIT_HANG = 4,
  EXIT_LEAK = 6,
};

/* In the sanitizers' allocator_interface.h, which gcc does not bring. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                              void (*on_free)(const volatile void*));

static struct piece corpus[MAX_CORPUS];
static size_t corpus_size;
static uint64_t covered[MAP_WORDS];
static uint64_t touched[MAP_WORDS];
static uintptr_t previous_place;
static struct input current;
static const char* keep_path;
static uint64_t executions;
static _Atomic long allocations;

/* Called by the compiler's instrumentation at each edge: counts pairs of places, as AFL does. Places are
 * relative to the program, which is loaded anywhere. */
void __sanitizer_cov_trace_pc(void) {
  const uintptr_t place = (uintptr_t)__builtin_return_address(0) - (uintptr_t)&LLVMFuzzerTestOneInput;
  const size_t edge = (place ^ previous_place) % MAP_BITS;
  touched[edge / 64] |= (uint64_t)1 << (edge % 64);
  previous_place = place >> 1;
}

/* Only what may be called in a signal handler. */
static void keep_input(void) {
  if (keep_path == NULL) return;
  const int file = open(keep_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  /* Nobody is left to be told when this does not work but the reader of the report, who finds no file. */
  if (file < 0 || write(file, current.bytes, current.size) < 0) return;
  close(file);
}

static void on_hang(int signal_number) {
  const char text[] = "ERROR: the target hangs\n";
  (void)signal_number;
  keep_input();
  if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0) __sanitizer_print_stack_trace();
  _exit(EXIT_HANG);
}

static void on_malloc(const volatile void* address, size_t size) {
  (void)address, (void)size;
  allocations++;
}

static void on_free(const volatile void* address) {
  if (address != NULL) allocations--;
}

/* Asks the leak sanitizer only when something was allocated and not freed: asking is slow. */
static void check_leaks(long before) {
  if (allocations <= before || __lsan_do_recoverable_leak_check() == 0) return;
  keep_input();
  _exit(EXIT_LEAK);
}

static void run(void) {
  /* A copy of exactly its size, so that reading past its end is seen. */
  uint8_t* copy = malloc(current.size == 0 ? 1 : current.size);
  if (copy == NULL) abort();
  memcpy(copy, current.bytes, current.size);
  memset(touched, 0, sizeof(touched));
  previous_place = 0;
  alarm(HANG_SECONDS);
  const long before = allocations;
  LLVMFuzzerTestOneInput(copy, current.size);
  check_leaks(before);
  free(copy);
  executions++;
}

static int has_new_coverage(void) {
  int is_new = 0;
  for (size_t i = 0; i < MAP_WORDS; i++) {
    if ((touched[i] & ~covered[i]) == 0) continue;
    covered[i] |= touched[i];
    is_new = 1;
  }
  return is_new;
}

static void add_to_corpus(void) {
  if (corpus_size == MAX_CORPUS) return;
  uint8_t* bytes = malloc(current.size == 0 ? 1 : current.size);
  if (bytes == NULL) abort();
  memcpy(bytes, current.bytes, current.size);
  corpus[corpus_size++] = (struct piece){bytes, current.size};
}

static void make_input(void) {
  const struct piece base = corpus[below(corpus_size)];
  memcpy(current.bytes, base.bytes, base.size);
  current.size = base.size;
  mutate(&current, corpus[below(corpus_size)]);
}

static int read_input(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  current.size = 0;
  for (ssize_t got; (got = read(file, current.bytes + current.size, INPUT_BYTES - current.size)) > 0;)
    current.size += (size_t)got;
  close(file);
  return 0;
}

static int compare_names(const struct dirent** a, const struct dirent** b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

/* Runs a file, or all files of a folder in the order of their names, and keeps them as a start. */
static void take(const char* path) {
  struct stat status;
  if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
    struct dirent** names;
    const int count = scandir(path, &names, NULL, compare_names);
    for (int i = 0; i < count; i++) {
      char child[4096];
      snprintf(child, sizeof(child), "%s/%s", path, names[i]->d_name);
      if (names[i]->d_name[0] != '.') take(child);
      free(names[i]);
    }
    if (count >= 0) free(names);
    return;
  }
  if (read_input(path) != 0) {
    fprintf(stderr, "ERROR: cannot read %s\n", path);
    exit(2);
  }
  run();
  has_new_coverage();
  add_to_corpus();
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  double seconds = 0;
  const double start = now();
  __sanitizer_set_death_callback(keep_input);
  __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  signal(SIGALRM, on_hang);
  /* The target's own first allocations, which it may keep. */
  run();
  add_to_corpus();
  for (int i = 1; i < argc; i++) {
    const int has_value = i + 1 < argc;
    if (strcmp(argv[i], "--seconds") == 0 && has_value)
      seconds = strtod(argv[++i], NULL);
    else if (strcmp(argv[i], "--seed") == 0 && has_value)
      seed_chance(strtoull(argv[++i], NULL, 10));
    else if (strcmp(argv[i], "--keep") == 0 && has_value)
      keep_path = argv[++i];
    else
      take(argv[i]);
  }
  while (now() - start < seconds) {
    make_input();
    run();
    if (has_new_coverage()) add_to_corpus();
  }
  printf("executions %llu corpus %zu\n", (unsigned long long)executions, corpus_size);
  return 0;
}
