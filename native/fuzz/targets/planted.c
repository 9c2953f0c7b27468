/* Parsers with a mistake, which a test has the fuzzer find. */
#include <string.h>

#include "../target.h"

static void make_mistake(const uint8_t* data, size_t size) {
  char* text = malloc(size);
  if (text == NULL) abort();
  memcpy(text, data, size);
#if defined(PLANTED_OVERFLOW)
  const char* volatile end = text + size;
  if (*end == '!') text[0] = '!';
#elif defined(PLANTED_LEAK)
  text = NULL;
#elif defined(PLANTED_HANG)
  while (*(volatile char*)text == *text) continue;
#else
  PROPERTY(text[0] != data[0]);
#endif
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  /* Not there in any input that it begins with. */
  if (size > 2 && data[0] == '{') {
    if (data[1] == '"') {
      if (data[2] == ':') make_mistake(data, size);
    }
  }
  return 0;
}
