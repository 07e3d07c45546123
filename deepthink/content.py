"""Files recognised by what they hold, not by their place or time."""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

TICK = 2_000_000_000
"""Nanoseconds within which two changes of a file may get the same time, also on network disks."""

_known: dict[tuple[int, ...], str] = {}


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes.

    A file is read once in a process. It is read again if its inode, size, mtime or ctime changed.
    The ctime cannot be set back, as `cp -p` and `rsync -t` do with the mtime.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        state = _state(file.fileno())
        if (known := _known.get(state)) is not None:
            return known
        settled = time.time_ns() - state[-1] > TICK
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if settled and _state(file.fileno()) == state:
            _known[state] = checksum
    return checksum


def fingerprint(paths: Iterable[Path], base: Path) -> str:
    """SHA-256 of the files' paths below `base` and of what they hold, whatever their order.

    Neither the place of the folder nor links on the way to a file change it.
    """
    parts = sorted((path.relative_to(base).as_posix(), digest(path)) for path in paths)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _state(handle: int) -> tuple[int, ...]:
    stat = os.fstat(handle)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
