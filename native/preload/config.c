#include <string.h>

#include "handoff.h"

static const char memfd_prefix[] = "memfd:";

/* Ids travel in JSON without escapes and in names of files. */
static bool is_good_id(const char* id) {
  if (*id == '\0') return false;
  for (; *id != '\0'; id++) {
    /* What is above '~' is not ASCII; where char is signed it is below ' '. */
    if (*id <= ' ' || *id > '~' || *id == '"' || *id == '\\') return false;
  }
  return true;
}

/* Cuts the entry that begins at `text` off and answers with the next one, or NULL. The ':' of "memfd:" is
 * part of its entry. */
static char* cut_entry(char* text) {
  char* end = strpbrk(text, "=:");
  if (end != NULL && *end == '=') {
    end++;
    if (strncmp(end, memfd_prefix, strlen(memfd_prefix)) == 0) end += strlen(memfd_prefix);
    end = strchr(end, ':');
  }
  if (end == NULL) return NULL;
  *end = '\0';
  return end + 1;
}

static const char* add_block(struct umem_config* config, char* entry) {
  char* equals = strchr(entry, '=');
  if (equals == NULL) return "UMEM_RAM has an entry without '='; entries are id=path, with ':' between them";
  if (config->block_count == UMEM_MAX_BLOCKS) return "UMEM_RAM has more than 64 entries";
  *equals = '\0';
  struct umem_block* block = &config->blocks[config->block_count];
  block->id = entry;
  block->path = equals + 1;
  block->is_memfd = strncmp(block->path, memfd_prefix, strlen(memfd_prefix)) == 0;
  if (block->is_memfd) block->path += strlen(memfd_prefix);
  if (!is_good_id(block->id))
    return "UMEM_RAM has an entry whose id is empty or has blanks, quotes, backslashes or other than ASCII";
  if (*block->path == '\0') return "UMEM_RAM has an entry without a path";
  config->block_count++;
  return NULL;
}

const char* umem_read_config(struct umem_config* config, const char* ram, const char* handoff) {
  config->block_count = 0;
  config->handoff = config->handoff_text;
  if (handoff != NULL) {
    /* The size of sun_path, unix(7). */
    if (strlen(handoff) >= 108) return "UMEM_HANDOFF is longer than the 107 bytes a socket path may have";
    strcpy(config->handoff_text, handoff);
    if (ram == NULL || *ram == '\0')
      return "UMEM_HANDOFF is set but UMEM_RAM is not: say which files are RAM";
  }
  if (ram == NULL) return NULL;
  if (strlen(ram) >= sizeof(config->ram_text)) return "UMEM_RAM is longer than 8191 bytes";
  strcpy(config->ram_text, ram);
  for (char* entry = config->ram_text; entry != NULL && *entry != '\0';) {
    char* next = cut_entry(entry);
    const char* problem = add_block(config, entry);
    if (problem != NULL) return problem;
    entry = next;
  }
  return NULL;
}
