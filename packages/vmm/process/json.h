// A small JSON reader for commands from untrusted peers: no allocation, bounded depth and size.
#ifndef UMEM_PROCESS_JSON_H
#define UMEM_PROCESS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum {
  JSON_MAX_BYTES = 64 * 1024,
  JSON_MAX_NODES = 1024,
  JSON_MAX_DEPTH = 16,
};

enum json_type { JSON_NULL, JSON_BOOLEAN, JSON_INTEGER, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
  enum json_type type;
  const char* name;  // of a member of an object, else NULL
  union {
    bool boolean;
    int64_t integer;
    double real;
    const char* string;
  };
  const struct json_node* first;  // child of an array or object
  const struct json_node* next;   // sibling
};

struct json_document {
  struct json_node nodes[JSON_MAX_NODES];
  size_t node_count;
  char strings[JSON_MAX_BYTES + 1];
  size_t string_bytes;
};

// Reads one value that fills the whole text. NULL when it is not JSON or exceeds a bound.
// The result lives in the document until the next call.
const struct json_node* json_parse(struct json_document* document, const char* text, size_t length);

// Member of an object; NULL when it is none or has no such member.
const struct json_node* json_member(const struct json_node* object, const char* name);

// String member; NULL when absent or of another type.
const char* json_string_member(const struct json_node* object, const char* name);

// Appends a value as JSON text.
void json_write(struct text* out, const struct json_node* node);

#endif
