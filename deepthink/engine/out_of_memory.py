"""Running out of memory, whichever device says it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SAID = ("allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


@contextmanager
def allocating() -> Iterator[None]:
    """Turn what a CPU's or Apple's allocator raises into torch.OutOfMemoryError, as CUDA's does.

    >>> with allocating():
    ...     torch.empty(1 << 60)
    Traceback (most recent call last):
    torch.OutOfMemoryError: …
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        told = isinstance(error, torch.OutOfMemoryError)
        if not told and (isinstance(error, MemoryError) or any(w in str(error) for w in _SAID)):
            raise torch.OutOfMemoryError(str(error)) from error
        raise
