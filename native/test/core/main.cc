// Runs the core (everything without napi.h) and the preload library's parsers under the sanitizers.
#include <cstdio>

void TestConstantPage();
void TestDataExtents();
void TestPreloadConfig();
void TestRamReader();
void TestUnixSocket();
void TestUserfaultfd();

int main() {
  const struct {
    const char* name;
    void (*run)();
  } tests[] = {
      {"constant pages", TestConstantPage},  {"data extents", TestDataExtents},
      {"preload config", TestPreloadConfig}, {"RAM reader", TestRamReader},
      {"Unix socket", TestUnixSocket},       {"userfaultfd", TestUserfaultfd},
  };
  for (const auto& test : tests) {
    test.run();
    std::printf("ok %s\n", test.name);
  }
  return 0;
}
