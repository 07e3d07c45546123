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
        state = _state(os.fstat(file.fileno()))
        if (known := _known.get(state)) is not None:
            return known
        settled = time.time_ns() - state[-1] > TICK
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if settled and _state(os.fstat(file.fileno())) == state:
            _known[state] = checksum
    return checksum


def fingerprint(paths: Iterable[Path], base: Path) -> str:
    """SHA-256 of the files' paths below `base` and of what they hold, whatever their order.

    Neither the place of the folder nor links on the way to a file change it.
    """
    parts = sorted((path.relative_to(base).as_posix(), digest(path)) for path in paths)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def states(paths: Iterable[Path]) -> tuple[object, ...] | None:
    """What is another value as soon as one of the files is written, replaced, made or removed.

    None while one of them is so new that a further change might not show.
    """
    known = [(path, _state_of(path)) for path in paths]
    newest = max((state[-1] for _, state in known if state), default=0)
    return tuple(known) if time.time_ns() - newest > TICK else None


def _state_of(path: Path) -> tuple[int, ...]:
    """The state of a file; empty where there is none."""
    try:
        return _state(path.stat())
    except OSError:
        return ()


def _state(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
