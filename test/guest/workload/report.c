#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void print_line(const char* prefix, const char* format, va_list arguments) {
  char line[512];
  int used = snprintf(line, sizeof line, "%s", prefix);
  vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
  /* One call a line: workers and the ticker share the console. */
  fprintf(stdout, "%s\n", line);
  fflush(stdout);
}

void report(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line("", format, arguments);
  va_end(arguments);
}

void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line("GUEST FAILED ", format, arguments);
  va_end(arguments);
  exit(1);
}

uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
