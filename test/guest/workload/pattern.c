#include "pattern.h"

static const uint64_t STEP = 0x9e3779b97f4a7c15u;

static uint64_t label(uint32_t index, uint32_t version) { return (uint64_t)index << 32 | version; }

/* The finalizer of splitmix64: neighbouring labels give unrelated pages. */
static uint64_t mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return value ^ value >> 31;
}

void pattern_write(uint64_t* page, uint32_t index, uint32_t version) {
  uint64_t value = mix(label(index, version) + STEP);
  page[0] = label(index, version);
  for (size_t word = 1; word < PAGE_WORDS; word++) page[word] = value += STEP;
}

int pattern_check(const uint64_t* page, uint32_t index, uint32_t version) {
  uint64_t value = mix(label(index, version) + STEP);
  uint64_t difference = page[0] ^ label(index, version);
  for (size_t word = 1; word < PAGE_WORDS; word++) difference |= page[word] ^ (value += STEP);
  if (difference == 0) return -1;
  for (size_t word = 0; word < PAGE_WORDS; word++) {
    if (page[word] != pattern_word(index, version, word)) return (int)word;
  }
  /* Different a moment ago and right now: a page changed under the reader. */
  return 0;
}

uint64_t pattern_word(uint32_t index, uint32_t version, size_t word) {
  return word == 0 ? label(index, version) : mix(label(index, version) + STEP) + word * STEP;
}
