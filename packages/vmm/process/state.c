#include "state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Numbers are in host byte order: both sides are the same architecture, as with any VMM.
static const char MAGIC[8] = "UMEMPG\1\n";

struct channel {
  int fd;
  uint64_t sum;  // FNV-1a of everything so far
  char buffer[64 * 1024];
  size_t begin, end;  // unread or unwritten bytes of the buffer
  char* error;
  size_t error_size;
};

static int fail(struct channel* channel, const char* format, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct channel* channel, const char* format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(channel->error, channel->error_size, format, args);
  va_end(args);
  return -1;
}

static void add_to_sum(struct channel* channel, const void* bytes, size_t length) {
  const uint8_t* byte = bytes;
  for (size_t i = 0; i < length; i++) channel->sum = (channel->sum ^ byte[i]) * 0x100000001b3;
}

static int flush(struct channel* channel) {
  while (channel->begin < channel->end) {
    ssize_t sent =
        send(channel->fd, channel->buffer + channel->begin, channel->end - channel->begin, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail(channel, "Unable to write to socket: %s", strerror(errno));
    channel->begin += (size_t)sent;
  }
  channel->begin = channel->end = 0;
  return 0;
}

static int put(struct channel* channel, const void* bytes, size_t length) {
  add_to_sum(channel, bytes, length);
  const char* from = bytes;
  while (length > 0) {
    if (channel->end == sizeof channel->buffer && flush(channel) != 0) return -1;
    size_t part = sizeof channel->buffer - channel->end;
    if (part > length) part = length;
    memcpy(channel->buffer + channel->end, from, part);
    channel->end += part;
    from += part;
    length -= part;
  }
  return 0;
}

static int put_number(struct channel* channel, uint64_t number) {
  return put(channel, &number, sizeof number);
}

static int get(struct channel* channel, void* bytes, size_t length) {
  char* to = bytes;
  for (size_t left = length; left > 0;) {
    if (channel->begin == channel->end) {
      ssize_t got = recv(channel->fd, channel->buffer, sizeof channel->buffer, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(channel, "Unable to read from socket: %s", strerror(errno));
      if (got == 0) return fail(channel, "The device state ends too early");
      channel->begin = 0;
      channel->end = (size_t)got;
    }
    size_t part = channel->end - channel->begin < left ? channel->end - channel->begin : left;
    memcpy(to, channel->buffer + channel->begin, part);
    channel->begin += part;
    to += part;
    left -= part;
  }
  add_to_sum(channel, bytes, length);
  return 0;
}

static int get_number(struct channel* channel, uint64_t* number) {
  return get(channel, number, sizeof *number);
}

static int expect_number(struct channel* channel, uint64_t ours, const char* what) {
  uint64_t theirs;
  if (get_number(channel, &theirs) != 0) return -1;
  if (theirs == ours) return 0;
  return fail(channel, "%s: %llu in the device state, but %llu here", what, (unsigned long long)theirs,
              (unsigned long long)ours);
}

int state_save(const struct workload* workload, int fd, char* error, size_t error_size) {
  const struct ram* ram = workload->ram;
  static struct channel channel;  // one save at a time; too large for a stack
  channel = (struct channel){.fd = fd, .error = error, .error_size = error_size};
  if (put(&channel, MAGIC, sizeof MAGIC) != 0 || put_number(&channel, ram->block_count) != 0) return -1;
  for (size_t i = 0; i < ram->block_count; i++)
    if (put(&channel, ram->blocks[i].id, sizeof ram->blocks[i].id) != 0 ||
        put_number(&channel, ram->blocks[i].size) != 0)
      return -1;
  if (put_number(&channel, workload->pattern.seed) != 0 ||
      put_number(&channel, workload->pattern.constant_percent) != 0 ||
      put_number(&channel, workload->operations) != 0 || put_number(&channel, workload->mismatches) != 0 ||
      put_number(&channel, workload->ticks) != 0 || put_number(&channel, workload->options.threads) != 0)
    return -1;
  for (uint32_t i = 0; i < workload->options.threads; i++)
    if (put_number(&channel, workload->workers[i].random) != 0 ||
        put_number(&channel, workload->workers[i].cursor) != 0)
      return -1;
  if (put(&channel, workload->versions, ram->page_count * sizeof *workload->versions) != 0) return -1;
  if (put_number(&channel, channel.sum) != 0) return -1;
  return flush(&channel);
}

static int load_blocks(struct channel* channel, const struct ram* ram) {
  if (expect_number(channel, ram->block_count, "Number of RAM blocks") != 0) return -1;
  for (size_t i = 0; i < ram->block_count; i++) {
    char id[RAM_MAX_ID + 1];
    if (get(channel, id, sizeof id) != 0) return -1;
    if (strncmp(id, ram->blocks[i].id, sizeof id) != 0)
      return fail(channel, "RAM block %zu is %.*s in the device state, but %s here", i, RAM_MAX_ID, id,
                  ram->blocks[i].id);
    if (expect_number(channel, ram->blocks[i].size, "Size of a RAM block") != 0) return -1;
  }
  return 0;
}

static int load_counters(struct channel* channel, struct workload* workload) {
  uint64_t seed, constant_percent, operations, mismatches, ticks;
  if (get_number(channel, &seed) != 0 || get_number(channel, &constant_percent) != 0 ||
      get_number(channel, &operations) != 0 || get_number(channel, &mismatches) != 0 ||
      get_number(channel, &ticks) != 0)
    return -1;
  if (constant_percent > 100)
    return fail(channel, "Constant pages: %llu percent in the device state",
                (unsigned long long)constant_percent);
  workload->pattern = (struct pattern){.seed = seed, .constant_percent = (uint32_t)constant_percent};
  workload->operations = operations;
  workload->mismatches = mismatches;
  workload->ticks = ticks;
  return 0;
}

int state_load(struct workload* workload, int fd, char* error, size_t error_size) {
  static struct channel channel;  // one load in a process's life; too large for a stack
  channel = (struct channel){.fd = fd, .error = error, .error_size = error_size};
  char magic[sizeof MAGIC];
  if (get(&channel, magic, sizeof magic) != 0) return -1;
  if (memcmp(magic, MAGIC, sizeof magic) != 0) return fail(&channel, "Not a process guest's device state");
  if (load_blocks(&channel, workload->ram) != 0 || load_counters(&channel, workload) != 0) return -1;
  if (expect_number(&channel, workload->options.threads, "Number of worker threads") != 0) return -1;
  for (uint32_t i = 0; i < workload->options.threads; i++)
    if (get_number(&channel, &workload->workers[i].random) != 0 ||
        get_number(&channel, &workload->workers[i].cursor) != 0)
      return -1;
  if (get(&channel, workload->versions, workload->ram->page_count * sizeof *workload->versions) != 0)
    return -1;
  uint64_t sum = channel.sum;
  uint64_t theirs;
  if (get_number(&channel, &theirs) != 0) return -1;
  if (theirs != sum) return fail(&channel, "The device state is damaged: its checksum is wrong");
  return 0;
}
