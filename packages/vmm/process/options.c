#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: umem-process-guest --qmp PATH [--qmp PATH2] --ram id=ID,size=BYTES,path=FILE|memfd=NAME ...\n"
    "  [--name NAME] [--incoming] [--paused] [--die-with-parent] [--threads N] [--working-set BYTES]\n"
    "  [--mode random|sequential|strided|zipf] [--stride PAGES] [--write-percent N] [--constant-percent N]\n"
    "  [--think-us N] [--tick-ms N] [--seed N]\n";

static int complain(const char* option, const char* value) {
  fprintf(stderr, "process guest: %s does not accept \"%s\"\n%s", option, value, USAGE);
  return -1;
}

static int parse_number(const char* option, const char* text, uint64_t least, uint64_t most,
                        uint64_t* number) {
  char* end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < least || value > most)
    return complain(option, text);
  *number = value;
  return 0;
}

static int parse_small(const char* option, const char* text, uint32_t least, uint32_t most,
                       uint32_t* number) {
  uint64_t value;
  if (parse_number(option, text, least, most, &value) != 0) return -1;
  *number = (uint32_t)value;
  return 0;
}

static int copy_text(const char* from, char* to, size_t size) {
  if (*from == '\0' || strlen(from) >= size) return complain("--ram", from);
  strcpy(to, from);
  return 0;
}

static int parse_ram(struct ram* ram, char* text) {
  enum { ID, SIZE, PATH, MEMFD };
  static char* const keys[] = {"id", "size", "path", "memfd", NULL};
  if (ram->block_count == RAM_MAX_BLOCKS) return complain("--ram (too many)", text);
  struct ram_block* block = &ram->blocks[ram->block_count++];
  while (*text) {
    char* value = NULL;
    char* part = text;
    int result = -1;
    switch (getsubopt(&text, keys, &value)) {
      case ID:
        if (value) result = copy_text(value, block->id, sizeof block->id);
        break;
      case SIZE:
        if (value) result = parse_number("--ram size", value, PAGE_BYTES, 1ull << 44, &block->size);
        break;
      case PATH:
        if (value) result = copy_text(value, block->path, sizeof block->path);
        break;
      case MEMFD:
        if (value) result = copy_text(value, block->memfd, sizeof block->memfd);
        break;
      default:
        return complain("--ram", part);
    }
    if (result != 0) return -1;
  }
  bool is_file = block->path[0] != '\0';
  bool is_memfd = block->memfd[0] != '\0';
  if (block->id[0] == '\0' || block->size % PAGE_BYTES != 0 || block->size == 0 || is_file == is_memfd)
    return complain("--ram", "a block without id, without size, or not with one of path and memfd");
  return 0;
}

static int parse_mode(const char* text, enum access_mode* mode) {
  static const char* const names[] = {"random", "sequential", "strided", "zipf"};
  for (int i = 0; i < 4; i++) {
    if (strcmp(names[i], text) != 0) continue;
    *mode = (enum access_mode)i;
    return 0;
  }
  return complain("--mode", text);
}

enum {
  OPTION_QMP,
  OPTION_RAM,
  OPTION_NAME,
  OPTION_INCOMING,
  OPTION_PAUSED,
  OPTION_DIE_WITH_PARENT,
  OPTION_THREADS,
  OPTION_WORKING_SET,
  OPTION_MODE,
  OPTION_STRIDE,
  OPTION_WRITE_PERCENT,
  OPTION_CONSTANT_PERCENT,
  OPTION_THINK_US,
  OPTION_TICK_MS,
  OPTION_SEED,
};

static const struct option NAMES[] = {
    {"qmp", required_argument, NULL, OPTION_QMP},
    {"ram", required_argument, NULL, OPTION_RAM},
    {"name", required_argument, NULL, OPTION_NAME},
    {"incoming", no_argument, NULL, OPTION_INCOMING},
    {"paused", no_argument, NULL, OPTION_PAUSED},
    {"die-with-parent", no_argument, NULL, OPTION_DIE_WITH_PARENT},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"working-set", required_argument, NULL, OPTION_WORKING_SET},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"stride", required_argument, NULL, OPTION_STRIDE},
    {"write-percent", required_argument, NULL, OPTION_WRITE_PERCENT},
    {"constant-percent", required_argument, NULL, OPTION_CONSTANT_PERCENT},
    {"think-us", required_argument, NULL, OPTION_THINK_US},
    {"tick-ms", required_argument, NULL, OPTION_TICK_MS},
    {"seed", required_argument, NULL, OPTION_SEED},
    {NULL, 0, NULL, 0},
};

static int take(struct options* options, int option, char* value) {
  struct workload_options* workload = &options->workload;
  uint64_t bytes;
  switch (option) {
    case OPTION_QMP:
      if (options->qmp_count == QMP_MAX_SOCKETS) return complain("--qmp (too many)", value);
      options->qmp_paths[options->qmp_count++] = value;
      return 0;
    case OPTION_RAM:
      return parse_ram(&options->ram, value);
    case OPTION_NAME:
      options->name = value;
      return 0;
    case OPTION_INCOMING:
      options->is_incoming = true;
      return 0;
    case OPTION_PAUSED:
      options->is_paused = true;
      return 0;
    case OPTION_DIE_WITH_PARENT:
      options->dies_with_parent = true;
      return 0;
    case OPTION_THREADS:
      return parse_small("--threads", value, 1, WORKLOAD_MAX_THREADS, &workload->threads);
    case OPTION_WORKING_SET:
      if (parse_number("--working-set", value, PAGE_BYTES, 1ull << 44, &bytes) != 0) return -1;
      workload->working_set_pages = bytes / PAGE_BYTES;
      return 0;
    case OPTION_MODE:
      return parse_mode(value, &workload->mode);
    case OPTION_STRIDE:
      return parse_number("--stride", value, 1, 1ull << 32, &workload->stride_pages);
    case OPTION_WRITE_PERCENT:
      return parse_small("--write-percent", value, 0, 100, &workload->write_percent);
    case OPTION_CONSTANT_PERCENT:
      return parse_small("--constant-percent", value, 0, 100, &options->pattern.constant_percent);
    case OPTION_THINK_US:
      return parse_small("--think-us", value, 0, 10000000, &workload->think_us);
    case OPTION_TICK_MS:
      return parse_small("--tick-ms", value, 10, 10000, &workload->tick_ms);
    case OPTION_SEED:
      return parse_number("--seed", value, 0, UINT64_MAX, &options->pattern.seed);
    default:
      fputs(USAGE, stderr);
      return -1;
  }
}

int options_parse(struct options* options, int argc, char** argv) {
  *options = (struct options){
      .name = "guest",
      .workload = {.threads = 2, .write_percent = 30, .stride_pages = 17, .tick_ms = 200},
      .pattern = {.seed = 1},
  };
  for (int option; (option = getopt_long(argc, argv, "", NAMES, NULL)) != -1;)
    if (take(options, option, optarg) != 0) return -1;
  if (options->qmp_count > 0 && options->ram.block_count > 0 && optind == argc) return 0;
  fputs(USAGE, stderr);
  return -1;
}
