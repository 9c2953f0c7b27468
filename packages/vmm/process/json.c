#include "json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
  struct json_document* document;
  const char* at;
  const char* end;
};

static bool parse_value(struct parser* parser, struct json_node* node, int depth);

static void skip_space(struct parser* parser) {
  while (parser->at < parser->end && strchr(" \t\r\n", *parser->at) && *parser->at != '\0') parser->at++;
}

static bool take(struct parser* parser, char expected) {
  skip_space(parser);
  if (parser->at == parser->end || *parser->at != expected) return false;
  parser->at++;
  return true;
}

static bool take_word(struct parser* parser, const char* word) {
  size_t length = strlen(word);
  if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length) != 0) return false;
  parser->at += length;
  return true;
}

static struct json_node* new_node(struct parser* parser) {
  struct json_document* document = parser->document;
  if (document->node_count == JSON_MAX_NODES) return NULL;
  struct json_node* node = &document->nodes[document->node_count++];
  *node = (struct json_node){.type = JSON_NULL};
  return node;
}

// Every string is shorter than its JSON text with quotes, so they all fit the document's buffer.
static void put_byte(struct parser* parser, unsigned byte) {
  parser->document->strings[parser->document->string_bytes++] = (char)byte;
}

static void put_code_point(struct parser* parser, unsigned code) {
  if (code < 0x80) {
    put_byte(parser, code);
  } else if (code < 0x800) {
    put_byte(parser, 0xc0 | code >> 6);
    put_byte(parser, 0x80 | (code & 0x3f));
  } else {
    put_byte(parser, 0xe0 | code >> 12);
    put_byte(parser, 0x80 | (code >> 6 & 0x3f));
    put_byte(parser, 0x80 | (code & 0x3f));
  }
}

static bool parse_escape(struct parser* parser) {
  static const char from[] = "\"\\/bfnrt";
  static const char to[] = "\"\\/\b\f\n\r\t";
  if (parser->at == parser->end || *parser->at == '\0') return false;
  char kind = *parser->at++;
  if (kind != 'u') {
    const char* found = strchr(from, kind);
    if (!found) return false;
    put_byte(parser, (unsigned char)to[found - from]);
    return true;
  }
  unsigned code = 0;
  for (int i = 0; i < 4; i++) {
    if (parser->at == parser->end || !isxdigit((unsigned char)*parser->at)) return false;
    char digit = (char)tolower((unsigned char)*parser->at++);
    code = code * 16 + (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
  }
  // No command needs characters outside the basic plane, or a zero that would end the string early.
  if (code == 0 || (code >= 0xd800 && code < 0xe000)) return false;
  put_code_point(parser, code);
  return true;
}

static bool parse_string(struct parser* parser, const char** string) {
  if (!take(parser, '"')) return false;
  *string = &parser->document->strings[parser->document->string_bytes];
  while (parser->at < parser->end) {
    unsigned char byte = (unsigned char)*parser->at++;
    if (byte == '"') {
      put_byte(parser, '\0');
      return true;
    }
    if (byte < 0x20) return false;
    if (byte == '\\') {
      if (!parse_escape(parser)) return false;
    } else {
      put_byte(parser, byte);
    }
  }
  return false;
}

static bool parse_number(struct parser* parser, struct json_node* node) {
  char digits[64];
  size_t length = 0;
  bool is_real = false;
  while (parser->at < parser->end && *parser->at != '\0' && strchr("+-.eE0123456789", *parser->at)) {
    if (length == sizeof digits - 1) return false;
    if (strchr(".eE", *parser->at)) is_real = true;
    digits[length++] = *parser->at++;
  }
  digits[length] = '\0';
  if (length == 0 || digits[0] == '+') return false;
  char* end;
  errno = 0;
  if (is_real) {
    node->type = JSON_REAL;
    node->real = strtod(digits, &end);
  } else {
    node->type = JSON_INTEGER;
    node->integer = strtoll(digits, &end, 10);
  }
  return *end == '\0' && errno == 0;
}

static bool parse_members(struct parser* parser, struct json_node* parent, int depth) {
  bool is_object = parent->type == JSON_OBJECT;
  char closing = is_object ? '}' : ']';
  if (depth == JSON_MAX_DEPTH) return false;
  if (take(parser, closing)) return true;
  struct json_node* last = NULL;
  do {
    struct json_node* child = new_node(parser);
    if (!child) return false;
    const char* name = NULL;
    if (is_object && (!parse_string(parser, &name) || !take(parser, ':'))) return false;
    if (!parse_value(parser, child, depth + 1)) return false;
    child->name = name;
    if (last)
      last->next = child;
    else
      parent->first = child;
    last = child;
  } while (take(parser, ','));
  return take(parser, closing);
}

static bool parse_value(struct parser* parser, struct json_node* node, int depth) {
  skip_space(parser);
  if (parser->at == parser->end) return false;
  switch (*parser->at) {
    case '{':
    case '[':
      node->type = *parser->at++ == '{' ? JSON_OBJECT : JSON_ARRAY;
      return parse_members(parser, node, depth);
    case '"':
      node->type = JSON_STRING;
      return parse_string(parser, &node->string);
    case 't':
    case 'f':
      node->type = JSON_BOOLEAN;
      node->boolean = *parser->at == 't';
      return take_word(parser, node->boolean ? "true" : "false");
    case 'n':
      return take_word(parser, "null");
    default:
      return parse_number(parser, node);
  }
}

const struct json_node* json_parse(struct json_document* document, const char* text, size_t length) {
  if (length > JSON_MAX_BYTES) return NULL;
  document->node_count = 0;
  document->string_bytes = 0;
  struct parser parser = {.document = document, .at = text, .end = text + length};
  struct json_node* root = new_node(&parser);
  if (!parse_value(&parser, root, 0)) return NULL;
  skip_space(&parser);
  return parser.at == parser.end ? root : NULL;
}

const struct json_node* json_member(const struct json_node* object, const char* name) {
  if (!object || object->type != JSON_OBJECT) return NULL;
  for (const struct json_node* member = object->first; member; member = member->next)
    if (strcmp(member->name, name) == 0) return member;
  return NULL;
}

const char* json_string_member(const struct json_node* object, const char* name) {
  const struct json_node* member = json_member(object, name);
  return member && member->type == JSON_STRING ? member->string : NULL;
}

void json_write(struct text* out, const struct json_node* node) {
  switch (node->type) {
    case JSON_NULL:
      text_append(out, "null");
      break;
    case JSON_BOOLEAN:
      text_append(out, node->boolean ? "true" : "false");
      break;
    case JSON_INTEGER:
      text_append(out, "%lld", (long long)node->integer);
      break;
    case JSON_REAL:
      text_append(out, "%.17g", node->real);
      break;
    case JSON_STRING:
      text_append_quoted(out, node->string);
      break;
    case JSON_ARRAY:
    case JSON_OBJECT:
      text_append(out, node->type == JSON_OBJECT ? "{" : "[");
      for (const struct json_node* child = node->first; child; child = child->next) {
        if (child != node->first) text_append(out, ",");
        if (child->name) {
          text_append_quoted(out, child->name);
          text_append(out, ":");
        }
        json_write(out, child);
      }
      text_append(out, node->type == JSON_OBJECT ? "}" : "]");
      break;
  }
}
