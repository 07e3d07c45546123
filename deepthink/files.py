"""Writing files so that they are either whole or absent."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from deepthink.errors import UserError


def atomically(path: Path, write_to: Callable[[Path], object]) -> None:
    """Have `write_to` fill a temporary file beside `path`, then rename it.

    Raises:
        OSError: whatever writing raises. What was at `path` is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        write_to(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def append(path: Path, lines: bytes) -> None:
    """Add lines to a file, apart from a line that a killed process left unfinished."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read() == b"\n" else b"\n" + lines
        file.write(lines)


def unwritable(folder: Path, error: OSError) -> UserError:
    """The error for a folder of results that cannot be written."""
    reason = error.strerror or error
    return UserError(f"cannot write to {folder} ({reason}): free it, or set results=FOLDER")


def at_home(path: str) -> str:
    """A path with `~` replaced by the user's folder, or unchanged if there is no such user."""
    return os.path.expanduser(path)  # noqa: PTH111 (Path.expanduser raises then)
