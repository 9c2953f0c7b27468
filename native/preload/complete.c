#include <poll.h>
#include <sys/stat.h>

#include "handoff.h"

static const int interval_ms = 20;

/* The sticky bit, which means nothing to the kernel on a plain file (inode(7)): the destination-agent sets it
 * when every page is there and before the page server stops to listen. A process that maps the file after
 * that, as a vhost-user back end may whenever its device starts, finds nobody to hand over to and needs
 * nobody. */
bool umem_is_complete(int file) {
  struct stat status;
  return fstat(file, &status) == 0 && (status.st_mode & S_ISVTX) != 0;
}

/* Between the last page and the mark a page server takes no handoff any more. */
bool umem_becomes_complete(int file) {
  for (int waited_ms = 0; !umem_is_complete(file); waited_ms += interval_ms) {
    if (waited_ms >= UMEM_COMPLETION_MS) return false;
    poll(NULL, 0, interval_ms);
  }
  return true;
}
