"""The output streams of a process, and the line with which a command that fails ends."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from deepthink.errors import UserError, first_line
from deepthink.redaction import without_secrets


def settle() -> None:
    """Give the process the streams it was started without, and let none fail over a character.

    A file that is opened later would otherwise take the number of the stream that is missing, and
    whatever a library prints would go into it.
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
    """Send what is still printed nowhere, since nobody reads it any more (`| head -1`)."""
    _to_nowhere(sys.stdout.fileno())


def tell(text: str, error: bool = False) -> None:
    """Print one line without secrets. It is no error if nobody reads the stream any more."""
    try:
        print(without_secrets(text), file=sys.stderr if error else sys.stdout, flush=True)
    except BrokenPipeError:
        _to_nowhere((sys.stderr if error else sys.stdout).fileno())


def script(main: Callable[[], object]) -> None:
    """Run `main`; what a user can cause ends the process with one line and exit code 1."""
    settle()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        wrong = str(error)
    except KeyboardInterrupt:
        wrong = "interrupted: nothing is half-written, the same command continues"
    except BrokenPipeError:  # nobody reads on
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
