"""The output streams of a process, and the line with which a command that fails ends."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from deepthink.errors import UserError, first_line
from deepthink.redaction import without_secrets


def settle() -> None:
    """Open the streams that the process was started without, and let no character make one fail.

    A file that is opened later would otherwise get the number of the missing stream, and what a
    library prints would be written into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:  # nothing has taken the number yet
            _to_nowhere(number)
        setattr(sys, name, Path(os.devnull).open("w" if number else "r"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def abandon() -> None:
    """Discard what is still printed, after the reader has closed the pipe (`| head -1`)."""
    _to_nowhere(sys.stdout.fileno())


def tell(text: str, error: bool = False) -> None:
    """Print one line without secrets. A pipe that its reader has closed is no error."""
    try:
        print(without_secrets(text), file=sys.stderr if error else sys.stdout, flush=True)
    except BrokenPipeError:
        _to_nowhere((sys.stderr if error else sys.stdout).fileno())


def script(main: Callable[[], object]) -> None:
    """Run `main`; an error that a user can cause ends the process in one line.

    Raises:
        SystemExit: with exit code 1, after such an error.
    """
    settle()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        wrong = str(error)
    except KeyboardInterrupt:
        wrong = "interrupted: nothing is half-written, the same command continues"
    except BrokenPipeError:  # the reader has closed the pipe
        abandon()
        return
    except OSError as error:
        wrong = f"{error.filename or 'a file'}: {first_line(error)}"
    else:
        return
    sys.exit(without_secrets(f"error: {wrong}"))


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
