"""Memory that a computation frees is kept for its next step, where the C library can be told so."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of <malloc.h>
_KEPT = 1 << 28
"""Free bytes at the end of the heap beyond which they go back to the system."""
_WHOLE = 1 << 26
"""Bytes from which a block has pages of its own, which go back as soon as it is freed."""


def keep_freed_memory() -> bool:
    """Have this process keep up to 256 MiB of freed memory; returns whether its C library does.

    Each layer of a model makes tensors of some megabytes and frees them. By itself glibc gives
    their pages back to the system, which fills new ones with zeros for the next layer. It takes up
    to a fifth of the time. Nothing changes where the C library is another one.

    >>> isinstance(keep_freed_memory(), bool)
    True
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _WHOLE)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
