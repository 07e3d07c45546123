"""When Python looks for objects that nothing uses any more."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause garbage collection where very many objects are made that all stay.

    It would search all of them again and again. Importing transformers and reading thousands of
    records take a quarter to half of their time less without it. Afterwards they count as old, so
    that the next searches for young garbage pass them over; nothing is exempt for ever.

    >>> with uncollected():
    ...     gc.isenabled()
    False
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # into the oldest generation
        if collects:
            gc.enable()
