/*
 * A page of the process guest's RAM, as it came through the network. The input: seed, percentage, page and
 * version, then pairs of a place and what is different there.
 */
#include <stdbool.h>
#include <string.h>

#include "../target.h"
#include "pattern.h"
#include "ram.h"

enum { HEADER_BYTES = 24, CHANGE_BYTES = 3, MOST_CHANGES = 16 };

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < HEADER_BYTES) return 0;
  uint64_t seed;
  uint64_t page;
  uint32_t version;
  memcpy(&seed, data, sizeof(seed));
  memcpy(&page, data + 8, sizeof(page));
  memcpy(&version, data + 16, sizeof(version));
  const struct pattern pattern = {.seed = seed, .constant_percent = data[20] % 101u};
  uint8_t* bytes = malloc(PAGE_BYTES);
  uint8_t* right = malloc(PAGE_BYTES);
  if (bytes == NULL || right == NULL) abort();
  pattern_fill(&pattern, right, page, version);
  PROPERTY(pattern_check(&pattern, right, page, version) == FINDING_RIGHT);
  memcpy(bytes, right, PAGE_BYTES);
  size_t count = (size - HEADER_BYTES) / CHANGE_BYTES;
  if (count > MOST_CHANGES) count = MOST_CHANGES;
  for (size_t i = 0; i < count; i++) {
    const uint8_t* change = data + HEADER_BYTES + i * CHANGE_BYTES;
    bytes[(change[0] | change[1] << 8) % PAGE_BYTES] ^= change[2];
  }
  const bool is_same = memcmp(bytes, right, PAGE_BYTES) == 0;
  const enum finding finding = pattern_check(&pattern, bytes, page, version);
  PROPERTY((finding == FINDING_RIGHT) == is_same);
  PROPERTY(finding_name(finding) != NULL);
  memset(bytes, 0, PAGE_BYTES);
  const bool is_zero = memcmp(bytes, right, PAGE_BYTES) == 0;
  PROPERTY(pattern_check(&pattern, bytes, page, version) == (is_zero ? FINDING_RIGHT : FINDING_ZERO));
  free(right);
  free(bytes);
  return 0;
}
