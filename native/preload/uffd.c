#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handoff.h"

static const int flags = O_CLOEXEC | O_NONBLOCK;

/* userfaultfd(2), else /dev/userfaultfd, else one that does not see faults of the kernel. */
static int open_uffd(void) {
  int uffd = (int)syscall(SYS_userfaultfd, flags);
  if (uffd >= 0) return uffd;
  const int syscall_errno = errno;
  const int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  const int device_errno = errno;
  if (device >= 0) {
    uffd = ioctl(device, USERFAULTFD_IOC_NEW, flags);
    close(device);
    if (uffd >= 0) return uffd;
  }
  uffd = (int)syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY);
  if (uffd >= 0) {
    umem_log(
        "only a user-mode userfaultfd could be made (userfaultfd: %s; /dev/userfaultfd: %s): a guest under "
        "KVM "
        "will fail; grant CAP_SYS_PTRACE or set vm.unprivileged_userfaultfd=1",
        strerror(syscall_errno), strerror(device_errno));
    return uffd;
  }
  umem_exit(
      "no userfaultfd can be made (userfaultfd: %s; /dev/userfaultfd: %s): grant CAP_SYS_PTRACE, set "
      "vm.unprivileged_userfaultfd=1, or allow the system call in the seccomp profile",
      strerror(syscall_errno), strerror(device_errno));
}

/* pagemap in proc(5), bit 63. Whatever has populated the mapping before it was registered (mlockall with
 * MCL_FUTURE does) has filled it with zeros that no fault will ever replace. */
static bool is_populated(uintptr_t address) {
  uint64_t entry = 0;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return false; /* no /proc: the check is an extra one */
  const off_t offset = (off_t)(address / (uintptr_t)sysconf(_SC_PAGESIZE) * sizeof(entry));
  const bool present = pread(pagemap, &entry, sizeof(entry), offset) == sizeof(entry) && (entry >> 63) != 0;
  close(pagemap);
  return present;
}

void umem_register(struct umem_mapping* mapping) {
  mapping->uffd = open_uffd();
  struct uffdio_api api = {
      .api = UFFD_API,
      .features = UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_MISSING_SHMEM |
                  UFFD_FEATURE_MISSING_HUGETLBFS,
  };
  if (ioctl(mapping->uffd, UFFDIO_API, &api) != 0) {
    umem_exit("this kernel's userfaultfd lacks a feature (thread id, remove events, shmem, hugetlbfs): %s",
              strerror(errno));
  }
  struct uffdio_register range = {
      .range = {.start = mapping->address, .len = mapping->size},
      .mode = UFFDIO_REGISTER_MODE_MISSING,
  };
  if (ioctl(mapping->uffd, UFFDIO_REGISTER, &range) != 0) {
    umem_abort(
        "RAM block %s: cannot register %zu bytes with userfaultfd: %s; RAM files must be on tmpfs, memfd or "
        "hugetlbfs",
        mapping->block->id, mapping->size, strerror(errno));
  }
  if (is_populated(mapping->address)) {
    umem_abort(
        "RAM block %s was filled with zeros while it was mapped: drop prealloc=on and -overcommit "
        "mem-lock=on "
        "on the destination",
        mapping->block->id);
  }
}
