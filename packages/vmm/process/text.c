#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct text* text, size_t more) {
  size_t needed = text->length + more + 1;
  if (needed <= text->capacity) return;
  size_t capacity = text->capacity ? text->capacity : 256;
  while (capacity < needed) capacity *= 2;
  char* bytes = realloc(text->bytes, capacity);
  if (!bytes) {
    fputs("process guest: out of memory\n", stderr);
    exit(1);
  }
  text->bytes = bytes;
  text->capacity = capacity;
}

void text_append(struct text* text, const char* format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length < 0) return;
  reserve(text, (size_t)length);
  va_start(args, format);
  vsnprintf(text->bytes + text->length, (size_t)length + 1, format, args);
  va_end(args);
  text->length += (size_t)length;
}

void text_append_quoted(struct text* text, const char* string) {
  text_append(text, "\"");
  for (; *string; string++) {
    unsigned char byte = (unsigned char)*string;
    if (byte == '"' || byte == '\\')
      text_append(text, "\\%c", byte);
    else if (byte < 0x20)
      text_append(text, "\\u%04x", byte);
    else
      text_append(text, "%c", byte);
  }
  text_append(text, "\"");
}

void text_consume(struct text* text, size_t length) {
  memmove(text->bytes, text->bytes + length, text->length - length);
  text->length -= length;
}

void text_free(struct text* text) {
  free(text->bytes);
  *text = (struct text){0};
}
