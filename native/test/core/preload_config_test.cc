#include <cstring>
#include <memory>
#include <string>

#include "expect.h"

extern "C" {
#include "../../preload/handoff.h"
}

namespace {

std::unique_ptr<umem_config> Read(const char* ram, const char* handoff, const char** problem) {
  auto config = std::make_unique<umem_config>();
  *problem = umem_read_config(config.get(), ram, handoff);
  return config;
}

bool Refuses(const char* ram, const char* handoff) {
  const char* problem;
  const auto config = Read(ram, handoff, &problem);
  return problem != nullptr;
}

}  // namespace

void TestPreloadConfig() {
  const char* problem;
  auto config = Read("ram0=/dev/shm/a:ram/1=memfd:vm ram:pc.ram=/x/*-vm/[ab]:", "/run/h.sock", &problem);
  EXPECT(problem == nullptr && config->block_count == 3);
  EXPECT(std::string(config->blocks[0].id) == "ram0" && std::string(config->blocks[0].path) == "/dev/shm/a");
  EXPECT(config->blocks[1].is_memfd && std::string(config->blocks[1].path) == "vm ram");
  EXPECT(!config->blocks[2].is_memfd && std::string(config->blocks[2].path) == "/x/*-vm/[ab]");
  EXPECT(std::string(config->handoff) == "/run/h.sock");

  config = Read(nullptr, nullptr, &problem);
  EXPECT(problem == nullptr && config->block_count == 0 && *config->handoff == '\0');
  config = Read("", nullptr, &problem);
  EXPECT(problem == nullptr && config->block_count == 0);

  EXPECT(Refuses(nullptr, "/run/h.sock"));
  EXPECT(Refuses("", "/run/h.sock"));
  for (const char* ram : {"ram0", "=path", "ram0=", "ram0=memfd:", "a b=/x", "a\"=/x", "a\\=/x", "a=/x:b",
                          "::", ":a=/x", "b:a=/x"}) {
    EXPECT(Refuses(ram, "/run/h.sock"));
  }
  EXPECT(Refuses(("a=" + std::string(UMEM_MAX_TEXT, 'x')).c_str(), "/run/h.sock"));
  EXPECT(Refuses("a=/x", ("/" + std::string(108, 'x')).c_str()));
  std::string many;
  for (int i = 0; i < UMEM_MAX_BLOCKS; i++) many += "r" + std::to_string(i) + "=/x:";
  EXPECT(!Refuses(many.c_str(), "/run/h.sock"));
  EXPECT(Refuses((many + "one=/more").c_str(), "/run/h.sock"));
}
