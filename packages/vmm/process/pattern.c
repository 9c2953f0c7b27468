#include "pattern.h"

#include <stdbool.h>
#include <string.h>

#include "ram.h"

enum { WORDS = PAGE_BYTES / 8, HEADER_WORDS = 4 };

// Word 0 names the workload, 1 the page, 2 the version, 3 sums up all the others; the rest is noise.
static const uint64_t MAGIC = 0x554d454d50414745;
static const uint64_t STEP = 0x9e3779b97f4a7c15;

uint64_t pattern_mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

static uint64_t noise_seed(const struct pattern* pattern, uint64_t page, uint32_t version) {
  return pattern_mix(pattern->seed + page * STEP) ^ pattern_mix(version + STEP);
}

// Whether all bytes of this page have one value, and which.
static bool is_constant(const struct pattern* pattern, uint64_t page, uint32_t version, uint8_t* value) {
  if (version == 0) {
    *value = 0;
    return true;
  }
  uint64_t dice = pattern_mix(noise_seed(pattern, page, version));
  *value = (uint8_t)(dice >> 56);
  return dice % 100 < pattern->constant_percent;
}

static bool is_filled_with(const uint8_t* bytes, uint8_t value) {
  return bytes[0] == value && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0;
}

static uint64_t checksum(const uint64_t* words) {
  uint64_t sum = MAGIC;
  for (int i = 0; i < WORDS; i++)
    if (i != 3) sum = (sum ^ words[i]) * STEP + (sum >> 29);
  return sum;
}

static void make_words(const struct pattern* pattern, uint64_t* words, uint64_t page, uint32_t version) {
  uint64_t state = noise_seed(pattern, page, version);
  words[0] = MAGIC ^ pattern->seed;
  words[1] = page;
  words[2] = version;
  for (int i = HEADER_WORDS; i < WORDS; i++) words[i] = pattern_mix(state += STEP);
  words[3] = checksum(words);
}

void pattern_fill(const struct pattern* pattern, uint8_t* bytes, uint64_t page, uint32_t version) {
  uint8_t value;
  if (is_constant(pattern, page, version, &value)) {
    memset(bytes, value, PAGE_BYTES);
    return;
  }
  uint64_t words[WORDS];
  make_words(pattern, words, page, version);
  memcpy(bytes, words, PAGE_BYTES);
}

// Says in what way a page is wrong, from a copy, so that it cannot change while we look.
static enum finding classify(const struct pattern* pattern, const uint8_t* bytes, uint64_t page) {
  uint64_t words[WORDS];
  memcpy(words, bytes, PAGE_BYTES);
  if (is_filled_with((const uint8_t*)words, 0)) return FINDING_ZERO;
  if (words[0] != (MAGIC ^ pattern->seed) || words[3] != checksum(words)) return FINDING_CORRUPT;
  return words[1] == page ? FINDING_STALE : FINDING_FOREIGN;
}

enum finding pattern_check(const struct pattern* pattern, const uint8_t* bytes, uint64_t page,
                           uint32_t version) {
  uint8_t value;
  bool is_right;
  if (is_constant(pattern, page, version, &value)) {
    is_right = is_filled_with(bytes, value);
  } else {
    uint64_t words[WORDS];
    make_words(pattern, words, page, version);
    is_right = memcmp(bytes, words, PAGE_BYTES) == 0;
  }
  return is_right ? FINDING_RIGHT : classify(pattern, bytes, page);
}

const char* finding_name(enum finding finding) {
  static const char* const names[FINDING_COUNT] = {"right", "stale", "foreign", "zero", "corrupt"};
  return names[finding];
}
