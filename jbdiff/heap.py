"""What the C library does with memory that tensors give back: kept for the next tensor, or returned to the system.

glibc returns large pieces at once. The full-size networks make thousands of tensors of up to 33 MB; each page of
each of them is then cleared by the system when it is first written. Measured on a virtual machine: a GELU over 33 MB
took 20 ms, 15 of them for the pages, and 4.6 where the memory was kept.
"""

from __future__ import annotations

import ctypes
import sys

# `mallopt` takes an int; names and numbers are glibc's (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
KEPT_BYTES = 2**31 - 1
LARGEST_KEPT = 2**30  # one tensor; what is larger comes from the system and goes back to it
GROWTH_BYTES = 64 * 2**20
# Each heap would keep the most that its threads ever needed. Measured with the instrument's patches changed nine times
# in 80 s: 581 MiB with one heap, 728 and growing with two, 1049 after seven with as many as the library likes. Beside a
# stack that is prepared blocks take .73 s with one, .77 with two, .82 with many (1.3, 1.1, 1.2 at most).
HEAPS = 1


def keep_freed_memory() -> bool:
    """From now on this process keeps what it frees, for tensors to come; False if the C library has no such switch.

    For the whole process and until it ends: what it has needed at most, it goes on holding. Programs call it before
    they begin to work, libraries do not. Any thread.
    """
    return _set((M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, KEPT_BYTES), (M_TOP_PAD, GROWTH_BYTES))


def share_one_heap() -> bool:
    """From now on all threads share one heap; False if the C library has no such switch. To be called before a
    program starts its threads: heaps that are there stay.
    """
    return _set((M_ARENA_MAX, HEAPS))


def _set(*switches: tuple[int, int]) -> bool:
    """Whether the C library is glibc and took all of them."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(library.mallopt(name, value) == 1 for name, value in switches)
