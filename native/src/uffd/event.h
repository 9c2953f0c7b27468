#pragma once

#include <linux/userfaultfd.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "os/result.h"

namespace umem {

inline constexpr size_t kEventFields = 4;
// kind, address or start, second argument, thread id or length: the layout that ts/native.ts documents.
using EventFields = std::array<uint64_t, kEventFields>;

// read(2) of a userfaultfd: up to `capacity` events; 0 when none waits. Faults come before other events.
Result<size_t> ReadEvents(int fd, uffd_msg* events, size_t capacity);

// The fields of an event. A FORK event brings the descriptor of the child's copy, which the caller now owns.
EventFields TakeFields(const uffd_msg& event);

}  // namespace umem
