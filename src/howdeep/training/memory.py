"""The memory of one batch, kept for the next."""

import ctypes
import sys
from functools import cache

# What mallopt(3) calls them, in malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


@cache
def keep_memory() -> None:
    """Has the C library keep the memory that a tensor leaves behind, for those that follow.

    glibc hands a large block back at once and has the system map and clear each of its pages anew for the next
    batch: up to a sixth of the CPU time of a training here. Other C libraries are left as they are.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 2**27)  # blocks of up to 128 MiB come from the heap, ...
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)  # which does not shrink ...
        libc.mallopt(M_TOP_PAD, 2**26)  # and grows by 64 MiB
