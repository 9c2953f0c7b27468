#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handoff.h"

/* One write(2), so that lines of several threads do not mix; stdio may not be ready this early. */
static void write_line(const char* format, va_list arguments) {
  char line[1024] = "umem-handoff: ";
  const size_t prefix = strlen(line);
  vsnprintf(line + prefix, sizeof(line) - prefix - 1, format, arguments);
  const size_t length = strlen(line);
  line[length] = '\n';
  /* Ignored: when stderr does not work there is nowhere left to say so. */
  if (write(STDERR_FILENO, line, length + 1) < 0) return;
}

void umem_log(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  write_line(format, arguments);
  va_end(arguments);
}

void umem_abort(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  write_line(format, arguments);
  va_end(arguments);
  abort();
}

void umem_exit(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  write_line(format, arguments);
  va_end(arguments);
  _exit(EXIT_FAILURE);
}
