"""Makes another process's mapping of a file fully present, as if the process had touched each page.

Usage: touch-memory.py PID PATH

process_vm_readv(2) faults on behalf of the process, so pages that a userfaultfd watches over are
asked of its handler. Reading the file itself would instead put zeros where pages are still missing.
"""

import ctypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor

PAGE = 4096
BATCH = 256
THREADS = 8

libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def mappings(pid, path):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[5].strip() == path:
                start, end = (int(part, 16) for part in fields[0].split("-"))
                yield start, end


def touch(pid, start):
    buffer = ctypes.create_string_buffer(BATCH)
    local = Iovec(ctypes.addressof(buffer), BATCH)
    remote = (Iovec * BATCH)(*[Iovec(start + page * PAGE, 1) for page in range(BATCH)])
    done = libc.process_vm_readv(pid, ctypes.byref(local), 1, remote, BATCH, 0)
    if done != BATCH:
        errno = ctypes.get_errno()
        raise OSError(errno, f"process_vm_readv at {start:#x}: {done} of {BATCH} pages: {os.strerror(errno)}")


def main(pid, path):
    starts = [at for start, end in mappings(pid, path) for at in range(start, end, BATCH * PAGE)]
    if not starts:
        sys.exit(f"process {pid} does not map {path}")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda start: touch(pid, start), starts))


main(int(sys.argv[1]), sys.argv[2])
