// A reader-writer lock per page that never waits: a worker that cannot have a page takes another.
// Several workers may read a page at once, so several threads can fault on one page.
#ifndef UMEM_PROCESS_PAGE_LOCK_H
#define UMEM_PROCESS_PAGE_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PAGE_LOCK_WRITER = 0x80 };

struct page_locks {
  _Atomic uint8_t* states;  // readers, or PAGE_LOCK_WRITER
};

static inline bool page_lock_read(struct page_locks* locks, uint64_t page) {
  uint8_t state = atomic_load_explicit(&locks->states[page], memory_order_relaxed);
  while (state < PAGE_LOCK_WRITER - 1)
    if (atomic_compare_exchange_weak_explicit(&locks->states[page], &state, (uint8_t)(state + 1),
                                              memory_order_acquire, memory_order_relaxed))
      return true;
  return false;
}

static inline void page_unlock_read(struct page_locks* locks, uint64_t page) {
  atomic_fetch_sub_explicit(&locks->states[page], 1, memory_order_release);
}

// From the only reader to the writer; false when there are other readers, and nothing changes.
static inline bool page_lock_upgrade(struct page_locks* locks, uint64_t page) {
  uint8_t only_us = 1;
  return atomic_compare_exchange_strong_explicit(&locks->states[page], &only_us, PAGE_LOCK_WRITER,
                                                 memory_order_acquire, memory_order_relaxed);
}

static inline void page_unlock_write(struct page_locks* locks, uint64_t page) {
  atomic_store_explicit(&locks->states[page], 0, memory_order_release);
}

#endif
