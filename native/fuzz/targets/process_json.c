/* The process guest's JSON reader, to which whoever connects to its QMP socket can say anything. */
#include <string.h>

#include "../target.h"
#include "json.h"
#include "text.h"

/* Nodes of a value, itself included. */
static size_t check_tree(const struct json_node* node, int depth) {
  size_t count = 1;
  PROPERTY(depth <= JSON_MAX_DEPTH);
  if (node->type != JSON_ARRAY && node->type != JSON_OBJECT) return count;
  for (const struct json_node* child = node->first; child != NULL; child = child->next) {
    PROPERTY((child->name != NULL) == (node->type == JSON_OBJECT));
    count += check_tree(child, depth + 1);
  }
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static struct json_document document;
  static struct json_document again;
  /* Exactly as large as the text: a reader that looks past its end is caught. */
  char* text = malloc(size == 0 ? 1 : size);
  if (text == NULL) abort();
  if (size > 0) memcpy(text, data, size);
  const struct json_node* root = json_parse(&document, text, size);
  free(text);
  if (root == NULL) return 0;
  PROPERTY(check_tree(root, 0) <= JSON_MAX_NODES);
  json_string_member(root, "execute");
  json_member(json_member(root, "arguments"), "uri");

  /* What is written can be read, and then stays the same: the first writing may lose that 1.0 is no integer.
   */
  struct text texts[3] = {0};
  json_write(&texts[0], root);
  for (int i = 1; i < 3; i++) {
    const struct json_node* copy = json_parse(&again, texts[i - 1].bytes, texts[i - 1].length);
    /* Escapes make a text longer, so that it may not fit any more. */
    if (copy == NULL)
      PROPERTY(texts[i - 1].length > JSON_MAX_BYTES || strstr(texts[i - 1].bytes, "inf") != NULL);
    if (copy != NULL) json_write(&texts[i], copy);
  }
  if (texts[2].length > 0) {
    PROPERTY(texts[1].length == texts[2].length);
    PROPERTY(memcmp(texts[1].bytes, texts[2].bytes, texts[1].length) == 0);
  }
  for (int i = 0; i < 3; i++) text_free(&texts[i]);
  return 0;
}
