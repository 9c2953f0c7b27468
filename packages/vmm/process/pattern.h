// What a page holds: each byte follows from the page's place and its version, so that any wrong byte
// is seen; most pages also say where they belong, so that the wrong ones can be told apart.
#ifndef UMEM_PROCESS_PATTERN_H
#define UMEM_PROCESS_PATTERN_H

#include <stdint.h>

struct pattern {
  uint64_t seed;
  uint32_t constant_percent;  // pages out of 100 whose bytes are all the same
};

enum finding {
  FINDING_RIGHT,
  FINDING_STALE,    // whole, but of another version
  FINDING_FOREIGN,  // whole, but of another page
  FINDING_ZERO,     // all zero, and should not be
  FINDING_CORRUPT,  // anything else
  FINDING_COUNT,
};

// A well-mixed number: splitmix64's output function.
uint64_t pattern_mix(uint64_t value);

// Writes a page. Version 0 is the page that was never written: all zero.
void pattern_fill(const struct pattern* pattern, uint8_t* bytes, uint64_t page, uint32_t version);

// Compares every byte with what pattern_fill would write.
enum finding pattern_check(const struct pattern* pattern, const uint8_t* bytes, uint64_t page,
                           uint32_t version);

const char* finding_name(enum finding finding);

#endif
