#include "uffd/event.h"

#include <unistd.h>

namespace umem {

Result<size_t> ReadEvents(int fd, uffd_msg* events, size_t capacity) {
  ssize_t count;
  do {
    // SAFETY: the caller gives room for `capacity` events.
    count = read(fd, events, capacity * sizeof(uffd_msg));
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) return size_t{0};
  if (count < 0) return LastFailure("read");
  return static_cast<size_t>(count) / sizeof(uffd_msg);
}

EventFields TakeFields(const uffd_msg& event) {
  switch (event.event) {
    case UFFD_EVENT_PAGEFAULT:
      return {event.event, event.arg.pagefault.address, event.arg.pagefault.flags,
              event.arg.pagefault.feat.ptid};
    case UFFD_EVENT_FORK:
      return {event.event, event.arg.fork.ufd, 0, 0};
    case UFFD_EVENT_REMAP:
      return {event.event, event.arg.remap.from, event.arg.remap.to, event.arg.remap.len};
    case UFFD_EVENT_REMOVE:
    case UFFD_EVENT_UNMAP:
      return {event.event, event.arg.remove.start, event.arg.remove.end, 0};
    default:
      return {event.event, 0, 0, 0};
  }
}

}  // namespace umem
