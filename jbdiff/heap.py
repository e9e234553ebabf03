"""Settings of the C library for freed memory: keep it for the next tensor, or return it to the system.

glibc returns large pieces at once. The full-size networks make thousands of tensors of up to 33 MB. The system then
clears each page of each tensor when it is first written. Measured on a virtual machine: a GELU over 33 MB took 20 ms,
15 of them for the pages, and 4.6 ms with kept memory.
"""

from __future__ import annotations

import ctypes
import sys

# `mallopt` takes an int; names and numbers are glibc's (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
KEPT_BYTES = 2**31 - 1
LARGEST_KEPT = 2**30  # bytes of one tensor; a larger one comes from the system and goes back to it
GROWTH_BYTES = 64 * 2**20
# Each heap would keep the most memory that its threads ever needed. Measured with nine changes of the instrument's
# patch in 80 s: 581 MiB with one heap, 728 and growing with two, 1049 after seven changes with the library's own
# number. While another stack is prepared, a block takes .73 s with one heap, .77 with two, .82 with many (1.3, 1.1, 1.2
# at most).
HEAPS = 1


def keep_freed_memory() -> bool:
    """Make this process keep freed memory for its next tensors. Return False if the C library has no such switch.

    It holds for the whole process until it ends: the process keeps the most memory that it ever needed. Programs call
    it before they begin to work; libraries do not. Any thread.
    """
    return _set((M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, KEPT_BYTES), (M_TOP_PAD, GROWTH_BYTES))


def share_one_heap() -> bool:
    """Make all threads share one heap. Return False if the C library has no such switch.

    Call it before a program starts its threads, because heaps that exist already stay.
    """
    return _set((M_ARENA_MAX, HEAPS))


def _set(*switches: tuple[int, int]) -> bool:
    """Set switches; return whether the C library is glibc and accepted all of them."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(library.mallopt(name, value) == 1 for name, value in switches)
