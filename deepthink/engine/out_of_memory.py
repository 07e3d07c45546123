"""Running out of memory, whichever device says it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deepthink.errors import UserError

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


@contextmanager
def fitting(what: str) -> Iterator[None]:
    """Turn an out-of-memory error into a UserError that says what does not fit and what to do.

    >>> with fitting("the demonstrations do not fit"):
    ...     raise torch.OutOfMemoryError
    Traceback (most recent call last):
    deepthink.errors.UserError: the demonstrations do not fit into the device's memory: …
    """
    try:
        with allocating():
            yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{what} into the device's memory: use fewer, a smaller model or a narrower dtype"
        ) from error
