/* Chance and change: what makes new inputs out of old ones. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { INPUT_BYTES = 1 << 16 };

struct input {
  uint8_t bytes[INPUT_BYTES];
  size_t size;
};

/* Part of an input that is kept. */
struct piece {
  const uint8_t* bytes;
  size_t size;
};

/* The same seed gives the same numbers. */
void seed_chance(uint64_t seed);
/* A number below `limit`, which is not 0. */
size_t below(size_t limit);
/* Changes an input in one or several places; may take parts of `other`. */
void mutate(struct input* input, struct piece other);
