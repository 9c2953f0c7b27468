#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handoff.h"

static const int flags = O_CLOEXEC | O_NONBLOCK;

/* userfaultfd(2), else /dev/userfaultfd. Not UFFD_USER_MODE_ONLY: one that does not see faults of the kernel,
 * and so not those of KVM, would break the guest. -1 when neither can be. */
static int open_uffd(struct umem_obstacle* obstacle) {
  int uffd = (int)syscall(SYS_userfaultfd, flags);
  if (uffd >= 0) return uffd;
  const int syscall_errno = errno;
  const int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device >= 0) {
    uffd = ioctl(device, USERFAULTFD_IOC_NEW, flags);
    const int ioctl_errno = errno;
    close(device);
    if (uffd >= 0) return uffd;
    errno = ioctl_errno;
  }
  char syscall_error[64];
  const int device_errno = errno;
  snprintf(syscall_error, sizeof(syscall_error), "%s", strerror(syscall_errno));
  snprintf(obstacle->what, sizeof(obstacle->what),
           "no userfaultfd that sees all faults can be made (userfaultfd: %s; /dev/userfaultfd: %s)",
           syscall_error, strerror(device_errno));
  obstacle->fix =
      "boot a kernel with CONFIG_USERFAULTFD, and grant CAP_SYS_PTRACE, set vm.unprivileged_userfaultfd=1, "
      "or "
      "allow the system call in the seccomp profile";
  return -1;
}

int umem_open_uffd(struct umem_obstacle* obstacle) {
  const int uffd = open_uffd(obstacle);
  if (uffd < 0) return -1;
  struct uffdio_api api = {
      .api = UFFD_API,
      .features = UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_MISSING_SHMEM |
                  UFFD_FEATURE_MISSING_HUGETLBFS,
  };
  if (ioctl(uffd, UFFDIO_API, &api) == 0) return uffd;
  snprintf(obstacle->what, sizeof(obstacle->what),
           "this kernel's userfaultfd lacks a feature (thread id, remove events, shmem, hugetlbfs: %s)",
           strerror(errno));
  obstacle->fix = "boot Linux 5.6 or newer";
  close(uffd);
  return -1;
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

void umem_unregister(struct umem_mapping* mapping) {
  struct uffdio_range range = {.start = mapping->address, .len = mapping->size};
  if (ioctl(mapping->uffd, UFFDIO_UNREGISTER, &range) != 0) {
    umem_abort("RAM block %s: cannot make it plain memory: %s", mapping->block->id, strerror(errno));
  }
  close(mapping->uffd);
  mapping->uffd = -1;
}
