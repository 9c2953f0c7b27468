// Text that grows, for replies.
#ifndef UMEM_PROCESS_TEXT_H
#define UMEM_PROCESS_TEXT_H

#include <stddef.h>

struct text {
  char* bytes;
  size_t length;
  size_t capacity;
};

// Appends formatted text; ends the process when there is no memory.
void text_append(struct text* text, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Appends a JSON string with its quotes.
void text_append_quoted(struct text* text, const char* string);

// Drops the first bytes.
void text_consume(struct text* text, size_t length);

// Frees the memory; the text is empty afterwards.
void text_free(struct text* text);

#endif
