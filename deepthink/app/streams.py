"""A program's ends: its output streams, and what a script says when it ends before its time."""

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
    """Nobody reads the output any more (`| head -1`): what is still printed goes nowhere."""
    _to_nowhere(sys.stdout.fileno())


def tell(text: str, error: bool = False) -> None:
    """Print one line without secrets; nobody needs to read it."""
    try:
        print(without_secrets(text), file=sys.stderr if error else sys.stdout, flush=True)
    except BrokenPipeError:
        _to_nowhere((sys.stderr if error else sys.stdout).fileno())


def script(main: Callable[[], object]) -> None:
    """Run a script's `main`; what a user can cause ends it with one line and exit code 1."""
    settle()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        tell(f"error: {error}", error=True)
    except KeyboardInterrupt:
        tell("error: interrupted: nothing is half-written, the same command continues", error=True)
    except BrokenPipeError:
        abandon()
        return
    except OSError as error:
        tell(f"error: {error.filename or 'a file'}: {first_line(error)}", error=True)
    else:
        return
    sys.exit(1)


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
