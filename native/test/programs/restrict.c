/*
 * Runs a command on a host that lacks something: restrict WHAT... -- COMMAND [ARGUMENT...]
 *
 *   no-userfaultfd      a kernel that was built without it: ENOSYS
 *   forbid-userfaultfd  one that refuses it, as a container's seccomp profile does: EPERM
 *   no-device           /dev/userfaultfd cannot be used: ENOTTY
 *   few-features        its userfaultfd knows none of the features: UFFDIO_API says EINVAL
 *   old-kernel          no pidfd_getfd(2): ENOSYS
 *
 * A filter of seccomp(2) says so to the command and to all that it starts.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A system call that fails. `request` is that of ioctl(2), 0 for any. */
struct rule {
  const char* name;
  unsigned number;
  unsigned request;
  unsigned error;
};

static const struct rule rules[] = {
    {"no-userfaultfd", SYS_userfaultfd, 0, ENOSYS},
    {"forbid-userfaultfd", SYS_userfaultfd, 0, EPERM},
    {"no-device", SYS_ioctl, USERFAULTFD_IOC_NEW, ENOTTY},
    {"few-features", SYS_ioctl, UFFDIO_API, EINVAL},
    {"old-kernel", SYS_pidfd_getfd, 0, ENOSYS},
};

static void fail(const char* what) {
  fprintf(stderr, "restrict: %s: %s\n", what, strerror(errno));
  exit(125);
}

static void install(const struct rule* rule) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, rule->number, 0, 3),
      /* The low half; every ioctl matches the rule of any. */
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(rule->request == 0 ? BPF_JMP | BPF_JGE | BPF_K : BPF_JMP | BPF_JEQ | BPF_K, rule->request, 0,
               1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | rule->error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) fail("PR_SET_SECCOMP");
}

static const struct rule* find(const char* name) {
  for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
    if (strcmp(rules[i].name, name) == 0) return &rules[i];
  }
  errno = EINVAL;
  fail(name);
  return NULL;
}

int main(int count, char** arguments) {
  int at = 1;
  /* Needed without CAP_SYS_ADMIN. */
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("PR_SET_NO_NEW_PRIVS");
  for (; at < count && strcmp(arguments[at], "--") != 0; at++) install(find(arguments[at]));
  if (at + 1 >= count) {
    errno = EINVAL;
    fail("usage: restrict WHAT... -- COMMAND [ARGUMENT...]");
  }
  execvp(arguments[at + 1], &arguments[at + 1]);
  fail(arguments[at + 1]);
}
