/* The process guest's command line. The input: its arguments, a line each. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../target.h"

/* Complaints are made, and thrown away: they would hide what the sanitizers say. */
__attribute__((format(printf, 2, 3))) static int to_nowhere(FILE* stream, const char* format, ...) {
  char text[4096];
  va_list args;
  (void)stream;
  va_start(args, format);
  const int length = vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  return length;
}
#define fprintf to_nowhere
#define fputs(text, stream) to_nowhere(stream, "%s", text)
#include "options.c"
#undef fprintf
#undef fputs

enum { MOST_ARGUMENTS = 64 };

static int is_ended(const char* text, size_t capacity) { return memchr(text, '\0', capacity) != NULL; }

static void check_block(const struct ram_block* block) {
  PROPERTY(is_ended(block->id, sizeof(block->id)) && *block->id != '\0');
  PROPERTY(is_ended(block->path, sizeof(block->path)) && is_ended(block->memfd, sizeof(block->memfd)));
  PROPERTY((*block->path == '\0') != (*block->memfd == '\0'));
  PROPERTY(block->size > 0 && block->size % PAGE_BYTES == 0);
}

static void check(const struct options* options) {
  PROPERTY(options->qmp_count >= 1 && options->qmp_count <= QMP_MAX_SOCKETS);
  PROPERTY(options->ram.block_count >= 1 && options->ram.block_count <= RAM_MAX_BLOCKS);
  for (size_t i = 0; i < options->ram.block_count; i++) check_block(&options->ram.blocks[i]);
  const struct workload_options* workload = &options->workload;
  PROPERTY(workload->threads >= 1 && workload->threads <= WORKLOAD_MAX_THREADS);
  PROPERTY(workload->write_percent <= 100 && options->pattern.constant_percent <= 100);
  PROPERTY(workload->stride_pages >= 1 && workload->tick_ms >= 10);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char* text = strndup((const char*)data, size);
  if (text == NULL) abort();
  char* argv[MOST_ARGUMENTS + 1] = {"umem-process-guest"};
  int argc = 1;
  char* rest = text;
  for (char* argument; argc < MOST_ARGUMENTS && (argument = strsep(&rest, "\n")) != NULL;)
    argv[argc++] = argument;
  struct options* options = malloc(sizeof(*options));
  if (options == NULL) abort();
  optind = 0; /* getopt(3): begin again */
  opterr = 0;
  if (options_parse(options, argc, argv) == 0) check(options);
  free(options);
  free(text);
  return 0;
}
