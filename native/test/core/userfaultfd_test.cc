#include "uffd/userfaultfd.h"

#include <linux/userfaultfd.h>
#include <sys/mman.h>

#include <cstring>
#include <thread>
#include <vector>

#include "expect.h"
#include "os/file.h"
#include "uffd/event.h"
#include "uffd/open.h"

namespace {

constexpr uint64_t kPage = 4096;

umem::UniqueFd Open() {
  auto fd = umem::OpenUffd(umem::UffdRoute::kSyscall);
  EXPECT(fd.ok());
  EXPECT(umem::NegotiateFeatures(fd.value().get(), UFFD_FEATURE_THREAD_ID).ok());
  return std::move(fd.value());
}

}  // namespace

void TestUserfaultfd() {
  constexpr uint64_t kPages = 1024;  // more than one chunk of Fill
  auto memfd = umem::CreateMemfd("ram", kPages * kPage);
  void* memory = mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, memfd.value().get(), 0);
  EXPECT(memory != MAP_FAILED);
  const auto base = reinterpret_cast<uintptr_t>(memory);
  const auto* bytes = static_cast<volatile uint8_t*>(memory);

  umem::Userfaultfd uffd(Open());
  EXPECT(umem::PrepareReceivedUffd(uffd.fd()).ok());
  EXPECT(umem::PrepareReceivedUffd(memfd.value().get()).failure().error == EINVAL);
  EXPECT(umem::PrepareReceivedUffd(-1).failure().error == EBADF);
  EXPECT(uffd.Register(base, kPages * kPage).ok());

  // The source need not be aligned, and a run stops at a page that is there.
  std::vector<uint8_t> source(5 * kPage + 1, 42);
  auto result = uffd.Copy(base + 3 * kPage, source.data() + 1, kPage);
  EXPECT(result.placed_bytes == kPage && result.error == 0);
  result = uffd.Copy(base, source.data(), 5 * kPage);
  EXPECT(result.placed_bytes == 3 * kPage && result.error == EAGAIN);
  result = uffd.Copy(base + 3 * kPage, source.data(), 2 * kPage);
  EXPECT(result.placed_bytes == 0 && result.error == EEXIST);
  EXPECT(uffd.Zeropage(base + 4 * kPage, kPage).error == 0);
  result = uffd.Fill(base + 5 * kPage, 0xa5, (kPages - 6) * kPage);
  EXPECT(result.placed_bytes == (kPages - 6) * kPage && result.error == 0);
  EXPECT(bytes[5 * kPage] == 0xa5 && bytes[(kPages - 1) * kPage - 1] == 0xa5);
  EXPECT(uffd.Copy(0x1000, source.data(), kPage).error == ENOENT);

  uffd_msg events[4];
  EXPECT(umem::ReadEvents(uffd.fd(), events, 4).value() == 0);
  std::thread toucher([&] { EXPECT(bytes[(kPages - 1) * kPage] == 1); });
  size_t count = 0;
  while (count == 0) count = umem::ReadEvents(uffd.fd(), events, 4).value();
  EXPECT(count == 1);
  const umem::EventFields fields = umem::TakeFields(events[0]);
  EXPECT(fields[0] == UFFD_EVENT_PAGEFAULT && fields[1] == base + (kPages - 1) * kPage && fields[3] != 0);
  EXPECT(uffd.Fill(base + (kPages - 1) * kPage, 1, kPage).error == 0);
  toucher.join();
  EXPECT(uffd.Wake(base, kPages * kPage).ok());
  EXPECT(uffd.Unregister(base, kPages * kPage).ok());
  EXPECT(uffd.Unregister(0, kPage).failure().error == EINVAL);
  uffd.Close();
  EXPECT(uffd.closed());
  EXPECT(munmap(memory, kPages * kPage) == 0);
}
