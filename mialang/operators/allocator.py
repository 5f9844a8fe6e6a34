"""The C allocator: memory that was freed is kept for the next tensor, rather than handed back to the kernel."""

from __future__ import annotations

import ctypes
import os

# As in malloc.h of glibc.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEPT = 512 * 2**20  # bytes free at the top of the heap before they are handed back
LARGE = 32 * 2**20  # bytes of a block that is mapped by itself, and handed back when freed; glibc takes no more


def keep_freed() -> None:
    """Have the allocator keep what was freed, up to half a GiB.

    A training step frees its buffers, of some MiB each, and asks for the same ones again. By default glibc maps such blocks one by
    one, so that the kernel clears and maps every page of them anew in every step.

    Nothing is done under another C library, nor where the environment holds settings of glibc's allocator.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function here, or no C library that can be asked
        return
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    mallopt(M_TRIM_THRESHOLD, KEPT)
    mallopt(M_MMAP_THRESHOLD, LARGE)
