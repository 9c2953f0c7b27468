#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * What a page holds is a function of its index and its version in every one of its 512 words, so
 * a page that is stale, zero, foreign or damaged in any byte differs from what is expected.
 */

#define PAGE_BYTES 4096
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))

/* Writes version `version` (from 1) of page `index`. */
void pattern_write(uint64_t* page, uint32_t index, uint32_t version);

/* The first word that differs, or -1 when all are as they should be. */
int pattern_check(const uint64_t* page, uint32_t index, uint32_t version);

/* What word `word` should be; word 0 holds index and version in the clear. */
uint64_t pattern_word(uint32_t index, uint32_t version, size_t word);
