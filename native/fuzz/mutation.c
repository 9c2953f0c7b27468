#include "mutation.h"

#include <string.h>

enum { USUAL_GROWTH = 64, MOST_CHANGES_LOG2 = 5 };

/* Bytes that mean something to a parser of text, and the ends of the ranges of numbers. */
static const uint8_t interesting[] = {0,   1,   0x7f, 0x80, 0xff, '"', '\\', '{', '[', ']',
                                      '}', ':', ',',  '=',  '\n', ' ', '*',  '0', '-'};

static uint64_t state;

/* splitmix64 */
static uint64_t next_random(void) {
  uint64_t value = state += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

void seed_chance(uint64_t seed) { state = seed; }

size_t below(size_t limit) { return (size_t)(next_random() % limit); }

static void insert(struct input* input, size_t at, struct piece piece) {
  if (piece.size > INPUT_BYTES - input->size) piece.size = INPUT_BYTES - input->size;
  memmove(input->bytes + at + piece.size, input->bytes + at, input->size - at);
  memcpy(input->bytes + at, piece.bytes, piece.size);
  input->size += piece.size;
}

static void insert_run(struct input* input, size_t at, uint8_t byte, size_t size) {
  uint8_t run[USUAL_GROWTH];
  memset(run, byte, size);
  insert(input, at, (struct piece){run, size});
}

static void erase(struct input* input, size_t at, size_t size) {
  memmove(input->bytes + at, input->bytes + at + size, input->size - at - size);
  input->size -= size;
}

/* A part of the input again, which may make it long. */
static void repeat(struct input* input, size_t at, size_t size) {
  uint8_t part[1024];
  if (size > sizeof(part)) size = sizeof(part);
  memcpy(part, input->bytes + at, size);
  for (size_t times = 1 + below(8); times > 0; times--) insert(input, at, (struct piece){part, size});
}

/* The bytes of a number: its least, its most, or something between. */
static void overwrite_number(struct input* input, size_t at, size_t size) {
  if (size > input->size - at) size = input->size - at;
  for (size_t i = at; i < at + size; i++) input->bytes[i] = below(3) == 0 ? 0xff : 0;
}

static void change_one_byte(struct input* input, size_t at) {
  if (at == input->size) return;
  switch (below(3)) {
    case 0:
      input->bytes[at] ^= (uint8_t)(1u << below(8));
      break;
    case 1:
      input->bytes[at] = (uint8_t)below(256);
      break;
    default:
      input->bytes[at] = interesting[below(sizeof(interesting))];
  }
}

static void mutate_once(struct input* input, struct piece other) {
  const size_t at = below(input->size + 1);
  const size_t left = input->size - at;
  switch (below(9)) {
    case 0:
      insert_run(input, at, interesting[below(sizeof(interesting))], 1);
      break;
    case 1:
      insert_run(input, at, (uint8_t)below(256), 1 + below(USUAL_GROWTH));
      break;
    case 2: {
      const size_t from = below(other.size + 1);
      insert(input, at, (struct piece){other.bytes + from, below(other.size - from + 1)});
      break;
    }
    case 3:
      repeat(input, at, below(left + 1));
      break;
    case 4:
      erase(input, at, below(left + 1));
      break;
    case 5:
      overwrite_number(input, at, (size_t)1 << below(4));
      break;
    default:
      change_one_byte(input, at);
  }
}

void mutate(struct input* input, struct piece other) {
  for (size_t times = (size_t)1 << below(MOST_CHANGES_LOG2); times > 0; times--) mutate_once(input, other);
}
