/*
 * Whether a VMM that is started as this program was could hand its RAM over: makes a userfaultfd as the
 * handoff library does. Exit status 0; or 1 with two lines, what stands in the way and what would help.
 */
#include <stdio.h>

#include "../preload/handoff.h"

int main(void) {
  struct umem_obstacle obstacle;
  if (umem_open_uffd(&obstacle) >= 0) return 0;
  printf("%s\n%s\n", obstacle.what, obstacle.fix);
  return 1;
}
