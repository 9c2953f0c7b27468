/*
 * UMEM_RAM and UMEM_HANDOFF, as anybody may set them, and the JSON that is written from them. The input: both
 * texts, with a newline between them.
 */
#include <setjmp.h>
#include <string.h>

#include "../../preload/handoff.h"
#include "../target.h"
#include "json.h"

static jmp_buf aborted;

void umem_abort(const char* format, ...) {
  (void)format;
  longjmp(aborted, 1);
}

static char* copy_text(const uint8_t* data, size_t size) {
  char* text = malloc(size + 1);
  if (text == NULL) abort();
  memcpy(text, data, size);
  text[size] = '\0';
  return text;
}

/* Every id that was accepted must come back from the JSON as it is. */
static void check_message(const struct umem_block* block) {
  static struct json_document document;
  static char text[4096];
  const struct umem_mapping mapping = {.block = block,
                                       .address = 0x7f0000000000,
                                       .size = 1 << 20,
                                       .offset = 1 << 12,
                                       .page_size = 4096,
                                       .uffd = 7};
  if (setjmp(aborted) != 0) {
    PROPERTY(strlen(block->id) > 3000);
    return;
  }
  const size_t length = umem_describe(&mapping, text, sizeof(text));
  PROPERTY(length < sizeof(text) && strlen(text) == length);
  const struct json_node* array = json_parse(&document, text, length);
  PROPERTY(array != NULL && array->type == JSON_ARRAY && array->first != NULL && array->first->next == NULL);
  const char* id = json_string_member(array->first, "ram_block");
  PROPERTY(id != NULL && strcmp(id, block->id) == 0);
  PROPERTY(json_member(array->first, "base_host_virt_addr")->integer == (int64_t)mapping.address);
  PROPERTY(json_member(array->first, "size")->integer == (int64_t)mapping.size);
}

static void check_block(const struct umem_config* config, const struct umem_block* block) {
  const char* end = config->ram_text + sizeof(config->ram_text);
  PROPERTY(block->id >= config->ram_text && block->id + strlen(block->id) < end && *block->id != '\0');
  PROPERTY(block->path >= config->ram_text && block->path + strlen(block->path) < end &&
           *block->path != '\0');
  for (const char* at = block->id; *at != '\0'; at++)
    PROPERTY(*at > ' ' && *at <= '~' && *at != '"' && *at != '\\');
  check_message(block);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint8_t* newline = size == 0 ? NULL : memchr(data, '\n', size);
  const size_t ram_size = newline == NULL ? size : (size_t)(newline - data);
  char* ram = copy_text(data, ram_size);
  char* handoff = newline == NULL ? NULL : copy_text(newline + 1, size - ram_size - 1);
  struct umem_config* config = malloc(sizeof(*config));
  if (config == NULL) abort();
  if (umem_read_config(config, ram, handoff) == NULL) {
    PROPERTY(config->block_count <= UMEM_MAX_BLOCKS);
    PROPERTY(handoff == NULL || strcmp(config->handoff, handoff) == 0);
    for (size_t i = 0; i < config->block_count; i++) check_block(config, &config->blocks[i]);
  }
  free(config);
  free(handoff);
  free(ram);
  return 0;
}
