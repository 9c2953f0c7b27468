/*
 * What every fuzz target is: one function that takes any bytes and comes back. It runs under libFuzzer, or
 * under driver.c where there is no clang.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C"
#endif
    int
    LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

/* A property that must hold for every input; aborts, and so keeps the input, when it does not. */
#define PROPERTY(holds)                                                                   \
  do {                                                                                    \
    if (!(holds)) {                                                                       \
      fprintf(stderr, "%s:%d: property does not hold: %s\n", __FILE__, __LINE__, #holds); \
      abort();                                                                            \
    }                                                                                     \
  } while (0)
