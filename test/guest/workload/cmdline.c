#include "cmdline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static uint32_t parse_number(const char* name, const char* text) {
  char* end;
  unsigned long value = strtoul(text, &end, 10);
  if (*text == '\0' || *end != '\0' || value > UINT32_MAX) fail("%s=%s is not a number", name, text);
  return (uint32_t)value;
}

static void apply(struct options* options, char* word) {
  char* value = strchr(word, '=');
  if (strncmp(word, "umem.", 5) != 0 || value == NULL) return;
  *value++ = '\0';
  uint32_t number = parse_number(word, value);
  if (strcmp(word, "umem.ws") == 0) {
    options->working_set_mib = number;
  } else if (strcmp(word, "umem.write") == 0) {
    options->write_percent = number;
  } else if (strcmp(word, "umem.threads") == 0) {
    options->threads = number;
  } else if (strcmp(word, "umem.tick") == 0) {
    options->tick_ms = number;
  } else if (strcmp(word, "umem.disk") == 0) {
    options->disk = number != 0;
  } else {
    fail("unknown option %s", word);
  }
}

struct options read_options(void) {
  struct options options = {.working_set_mib = 64, .write_percent = 10, .tick_ms = 200};
  char line[4096] = "";
  FILE* file = fopen("/proc/cmdline", "r");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) fail("cannot read /proc/cmdline");
  fclose(file);
  for (char* word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) apply(&options, word);
  if (options.working_set_mib == 0 || options.tick_ms == 0) fail("umem.ws and umem.tick must not be 0");
  return options;
}
